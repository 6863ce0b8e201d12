"""The run's log: a JSON object an update in `log.jsonl`, and the same numbers for the loggers that were asked for."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shards.location import locate
from training.config import LoggerName
from training.loggers import open_loggers

LOG = "log.jsonl"


class RunLog:
    """Appends records to the log of the run in `folder`, from the update behind number `update` on."""

    def __init__(self, folder: Path, *, update: int, loggers: Sequence[LoggerName] = ()) -> None:
        self._file = (folder / LOG).open("a", encoding="utf-8")
        self._loggers = open_loggers(loggers, folder, update)

    def write(self, record: Mapping[str, Any]) -> None:
        """Adds the record of one update: `update` is its number, mappings are shown as groups, `notes` as text."""
        self._file.write(_line(record))
        self._file.flush()
        for logger in self._loggers:
            logger.add(record["update"], flatten(record))
            for note in record.get("notes", ()):
                logger.note(record["update"], note)

    def close(self) -> None:
        self._file.close()
        for logger in self._loggers:
            logger.close()


def flatten(record: Mapping[str, Any]) -> dict[str, float]:
    """A record's numbers by the names of their curves: {"loss": {"pages": 1.5}} is {"loss/pages": 1.5}."""
    curves = dict[str, float]()
    for name, value in record.items():
        if isinstance(value, Mapping):
            curves |= {f"{name}/{curve}": number for curve, number in value.items()}
        elif name not in ("notes", "update"):
            curves[name] = value
    return curves


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The records of the run in `folder`, in order."""
    return read_log_from(folder, 0)[0]


def read_log_from(folder: Path, offset: int) -> tuple[list[dict[str, Any]], int]:
    """The records from byte `offset` on, and the offset behind them; a last line that is not whole yet is left out."""
    path = folder / LOG
    if not path.exists():
        return [], 0
    with path.open("rb") as file:
        file.seek(offset)
        whole, newline, _ = file.read().rpartition(b"\n")
    return [json.loads(line) for line in whole.splitlines()], offset + len(whole) + len(newline)


def trim_log(folder: Path, update: int) -> None:
    """Drops the records beyond `update`: a run that goes on from a checkpoint makes those updates once more."""
    kept = [record for record in read_log(folder) if record["update"] <= update]
    locate(str(folder / LOG)).write("".join(map(_line, kept)).encode())


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record) + "\n"
