"""What became of every page and of everything on it, and why; `python -m pipeline.ledger` answers questions."""

from pipeline.ledger.record import PASSING, Entry, Outcome, Record, count
from pipeline.ledger.table import LEDGER, ledger_of, open_ledger, read_ledger, read_records, write_ledger

__all__ = [
    "LEDGER",
    "PASSING",
    "Entry",
    "Outcome",
    "Record",
    "count",
    "ledger_of",
    "open_ledger",
    "read_ledger",
    "read_records",
    "write_ledger",
]
