"""The run's log: a JSON object an update in `log.jsonl`, and the same numbers for TensorBoard."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

LOG = "log.jsonl"


class RunLog:
    """Appends records to the log of the run in `folder`, after dropping those beyond `update`.

    A run that goes on from a checkpoint makes the updates behind it once more.
    """

    def __init__(self, folder: Path, *, update: int) -> None:
        path = folder / LOG
        kept = [record for record in read_log(folder) if record["update"] <= update]
        path.write_text("".join(map(_line, kept)), encoding="utf-8")
        self._file = path.open("a", encoding="utf-8")
        self._board = SummaryWriter(folder / "tensorboard", purge_step=update + 1)

    def write(self, record: Mapping[str, Any]) -> None:
        """Adds the record of one update; `update` is its number and mappings in it are shown as groups."""
        self._file.write(_line(record))
        self._file.flush()
        for name, value in record.items():
            curves = value if isinstance(value, Mapping) else {"": value}
            for curve, number in curves.items():
                self._board.add_scalar(f"{name}/{curve}".rstrip("/"), number, record["update"])

    def close(self) -> None:
        self._file.close()
        self._board.close()


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The records of the run in `folder`, in order; a last line that was cut is left out."""
    path = folder / LOG
    return list(_records(path.read_text(encoding="utf-8"))) if path.exists() else []


def _records(text: str) -> Iterator[dict[str, Any]]:
    whole, _, _ = text.rpartition("\n")
    return (json.loads(line) for line in whole.splitlines())


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record) + "\n"
