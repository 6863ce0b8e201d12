"""The command line that a config makes, and its refusals."""

from dataclasses import dataclass, field

import pytest

from jobs.command import InputError, run_command
from jobs.connect import SUBMITTED, resolve
from shards.errors import DatasetError


@dataclass(frozen=True, kw_only=True)
class Inner:
    rate: float = 0.5
    """Share, from 0 to 1."""

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise ValueError(f"inner.rate is {self.rate}; it must be from 0 to 1")


@dataclass(frozen=True, kw_only=True)
class Config:
    output: str
    """Where the result goes."""
    url_col: str = "url"
    """Column of addresses."""
    follow: bool = False
    """Follow links."""
    limit: int | None = None
    """Most things."""
    inner: Inner = field(default_factory=Inner)

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit is {self.limit}; it must be 1 or greater")


def command(*argv: str, run=print) -> int:
    return run_command(Config, run, "Does a thing.", argv)


def built(*argv: str) -> Config:
    configs: list[Config] = []
    assert command(*argv, run=configs.append) == 0
    return configs[0]


def test_flags_make_the_config():
    assert built("--output", "o", "--limit=3", "--inner.rate", "0.25") == Config(
        output="o", limit=3, inner=Inner(rate=0.25)
    )


def test_dashes_and_switches_are_understood():
    config = built("--output", "o", "--follow", "--url-col=a-b")
    assert (config.follow, config.url_col) == (True, "a-b")
    assert built("--follow", "false", "--output", "o").follow is False
    assert built("--output", "o", "--follow").follow is True


def test_yaml_gives_fields_and_flags_win(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("output: y\nlimit: 4\ninner:\n  rate: 1.0\n")
    assert built("--config", str(path), "--limit", "5") == Config(output="y", limit=5, inner=Inner(rate=1.0))


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ([], "the following arguments are required: output"),
        (["--output", "o", "--bogus", "1"], "unrecognized arguments: --bogus 1"),
        (["--output", "o", "--limit", "many"], 'Parser key "limit"'),
        (["--output", "o", "--limit", "0"], "limit is 0; it must be 1 or greater"),
        (["--output", "o", "--limit", "0", "--print_config"], "limit is 0; it must be 1 or greater"),
        (["--output", "o", "--inner.rate", "2"], "inner.rate is 2.0; it must be from 0 to 1"),
        (["--output", "o", "--inner.rate", "2", "--print-config"], "inner.rate is 2.0; it must be from 0 to 1"),
        (["--config", "/nowhere.yaml"], "/nowhere.yaml"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(argv, sentence, capsys):
    assert command(*argv) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert sentence in captured.err
    assert captured.out == ""


def test_print_config_prints_what_yaml_reads_back(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        command("--output", "o", "--limit", "7", "--print_config")
    assert end.value.code == 0
    path = tmp_path / "c.yaml"
    path.write_text(capsys.readouterr().out)
    assert built("--config", str(path)) == Config(output="o", limit=7)


def test_help_says_what_each_field_is(capsys):
    with pytest.raises(SystemExit):
        command("--help")
    shown = capsys.readouterr().out
    for words in ("Does a thing.", "Where the result goes.", "Share, from 0 to 1."):
        assert words in shown


@pytest.mark.parametrize("kind", [InputError, DatasetError])
def test_a_refusal_of_the_job_is_exit_code_2(kind, capsys):
    def refuse(config: Config) -> None:
        raise kind("the list is empty")

    assert command("--output", "o", run=refuse) == 2
    assert capsys.readouterr().err == "error: the list is empty\n"


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        command("--output", "o", run=lambda config: 1 / 0)


def test_a_relative_path_is_refused_under_ray_job_submit(monkeypatch, tmp_path):
    assert resolve("output", "here").path.endswith("/here")
    monkeypatch.setenv(SUBMITTED, "{}")
    assert resolve("output", str(tmp_path)).path == str(tmp_path)
    with pytest.raises(InputError, match="output is 'here', a relative path, and under `ray job submit`"):
        resolve("output", "here")
