"""The log of a run: read while it grows, and trimmed where a run goes on."""

from pathlib import Path

from training.log import LOG, RunLog, read_log, read_log_from, trim_log


def write(folder: Path, *updates: int) -> None:
    log = RunLog(folder, update=updates[0] - 1)
    for update in updates:
        log.write({"update": update, "loss": {"pages": update / 2}, "seconds": 1.5})
    log.close()


def test_records_are_read_as_they_come(tmp_path: Path):
    assert read_log_from(tmp_path, 0) == ([], 0)
    write(tmp_path, 1)
    first, offset = read_log_from(tmp_path, 0)
    write(tmp_path, 2)
    second, end = read_log_from(tmp_path, offset)

    assert first == [{"update": 1, "loss": {"pages": 0.5}, "seconds": 1.5}]
    assert [record["update"] for record in second] == [2]
    assert end == (tmp_path / LOG).stat().st_size


def test_a_line_that_is_not_whole_waits(tmp_path: Path):
    (tmp_path / LOG).write_text('{"update": 1}\n{"upd')
    assert read_log_from(tmp_path, 0) == ([{"update": 1}], 14)


def test_a_trimmed_log_goes_on(tmp_path: Path):
    write(tmp_path, 1, 2, 3)
    trim_log(tmp_path, 2)
    write(tmp_path, 3, 4)

    assert [record["update"] for record in read_log(tmp_path)] == [1, 2, 3, 4]
