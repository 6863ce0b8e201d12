"""The command line of every job, made from its config: flags, `--help`, YAML files, and refusals in one sentence."""

import sys
from argparse import ArgumentError
from collections.abc import Callable, Sequence
from typing import TypeVar, get_type_hints

from shards.errors import DatasetError

Config = TypeVar("Config")
REFUSED = 2
"""The exit code of a command that was asked for something it cannot do."""


class InputError(ValueError):
    """The job cannot do what it was asked to do; the message says why, and what to do, in one sentence."""


def run_command(
    config_class: type[Config],
    run: Callable[[Config], None],
    description: str,
    argv: Sequence[str] | None = None,
) -> int:
    """Builds the config from `argv` and runs the job; returns the exit code.

    Bad input prints `error: ...` in one sentence and returns 2: a flag or field that does not exist, a value that
    the config refuses, and every InputError and DatasetError of the job itself. Other exceptions are bugs and
    keep their traceback.
    """
    arguments = _as_declared(sys.argv[1:] if argv is None else argv, config_class)
    try:
        config = _parse(config_class, description, arguments)
    except (ArgumentError, ValueError) as error:
        return _refuse(error)
    try:
        run(config)
    except (InputError, DatasetError) as error:
        return _refuse(error)
    return 0


def _parse(config_class: type[Config], description: str, arguments: list[str]) -> Config:
    # Only now: every worker imports this module for InputError, and jsonargparse would take it 60 ms more.
    from jsonargparse import ArgumentParser, set_parsing_settings

    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    spec = sys.modules["__main__"].__spec__
    parser = ArgumentParser(
        prog=f"python -m {spec.name}" if spec else None, description=description, exit_on_error=False
    )
    parser.add_argument("--config", action="config", help="A YAML file with any of the fields below.")
    parser.add_class_arguments(config_class, as_group=False)
    values = parser.parse_args([word for word in arguments if not word.startswith("--print_config")])
    fields = vars(parser.instantiate(values))
    config = config_class(**{name: value for name, value in fields.items() if name != "config"})
    if any(word.startswith("--print_config") for word in arguments):
        # Only now: jsonargparse would print and exit before the config's own checks have run.
        parser.parse_args(arguments)
    return config


def _as_declared(arguments: Sequence[str], config_class: type) -> list[str]:
    """Lets `--url-col` stand for `--url_col`, and `--follow` alone for `--follow true`."""
    switches = {f"--{name}" for name, kind in get_type_hints(config_class).items() if kind is bool}
    declared = [_with_underscores(word) for word in arguments]
    following = [*declared, "--"][1:]
    return [
        f"{word}=true" if word in switches and after.startswith("--") else word
        for word, after in zip(declared, following, strict=True)
    ]


def _with_underscores(word: str) -> str:
    flag, equals, value = word.partition("=")
    return f"--{flag[2:].replace('-', '_')}{equals}{value}" if flag.startswith("--") else word


def _refuse(error: Exception) -> int:
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    return REFUSED
