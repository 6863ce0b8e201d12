"""Which samples share a row of text, so that short ones leave less padding."""

from collections.abc import Sequence


def pack_rows(lengths: Sequence[int], row_tokens: int) -> list[list[int]]:
    """Rows of sample numbers, each row at most `row_tokens` long unless a single sample is longer.

    First fit, the longest samples first: within 11/9 of the fewest rows (Johnson 1973). In a row, samples stand in
    order. Example: lengths 3, 5, 2 in rows of 5 give [[1], [0, 2]].
    """
    rows, room = list[list[int]](), list[int]()
    for number in sorted(range(len(lengths)), key=lambda number: -lengths[number]):
        row = next((row for row, left in enumerate(room) if left >= lengths[number]), None)
        if row is None:
            row = len(rows)
            rows.append([])
            room.append(row_tokens)
        rows[row].append(number)
        room[row] -= lengths[number]
    return [sorted(row) for row in rows]
