"""What a pass decides: a row for each document, medium or paragraph that leaves, with its reason and its number.

Within the passes a document is a number: that of its shard, in the upper 32 bits, and its place there.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.curation.columns import Numbers, numbers_in
from pipeline.curation.verdicts import SCHEMA

DECISIONS = SCHEMA.set(0, pa.field("document", pa.int64(), nullable=False))
"""The columns of verdicts, with a document's number for the name of its shard."""


def document_number(shard: int, place: int) -> int:
    return shard << 32 | place


def decide(
    rows: pa.Table,
    reason: str,
    *,
    measure: npt.ArrayLike | None = None,
    threshold: float | None = None,
    other: pa.Array | pa.ChunkedArray | None = None,
) -> pa.Table:
    """Decisions on `rows`, which have the columns `document` and `key`, and `medium` or `paragraph` if that leaves.

    `measure` is a number for each of them; `other` names what each is a copy of.
    """
    count = rows.num_rows
    nowhere = pa.array(np.full(count, -1, dtype=np.int32))
    return pa.Table.from_pydict(
        {
            "document": rows["document"],
            "key": rows["key"],
            "medium": rows["medium"] if "medium" in rows.column_names else nowhere,
            "paragraph": rows["paragraph"] if "paragraph" in rows.column_names else nowhere,
            "reason": pa.array([reason] * count, pa.string()),
            "measure": pa.nulls(count, pa.float64()) if measure is None else pa.array(np.asarray(measure, np.float64)),
            "threshold": pa.array([threshold] * count, pa.float64()),
            "other": pa.array([""] * count, pa.string()) if other is None else other,
        },
        schema=DECISIONS,
    )


def verdicts_of(decisions: pa.Table, shards: Sequence[str]) -> pa.Table:
    """`decisions` as verdicts, in the order of documents; `shards` are the names of the shards by number."""
    ordered = decisions.sort_by([(name, "ascending") for name in ("document", "paragraph", "medium", "reason")])
    names = pa.array(shards, pa.string()).take(numbers_in(ordered, "document") >> 32)
    return ordered.drop_columns(["document"]).add_column(0, SCHEMA.field("shard"), names)


def without(rows: pa.Table, dropped: Numbers) -> pa.Table:
    """The rows whose `document` is not among those that earlier passes dropped."""
    return rows.take(np.flatnonzero(~np.isin(numbers_in(rows, "document"), dropped)))
