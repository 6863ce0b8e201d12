"""What became of every page and of everything on it, and why; `python -m pipeline.ledger` answers questions."""

from pipeline.ledger.record import PASSING, Entry, Ledger, Outcome, Record
from pipeline.ledger.table import LEDGER, ledger_of, read_ledger, write_ledger

__all__ = ["LEDGER", "PASSING", "Entry", "Ledger", "Outcome", "Record", "ledger_of", "read_ledger", "write_ledger"]
