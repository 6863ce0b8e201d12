"""Conditions as they are written, against rows for which they hold, and refusals that say where the mistake is."""

import random
from collections.abc import Sequence

import pyarrow as pa
import pytest

from pipeline.archives.index_filter import parse_filter

ROWS = pa.table(
    {
        "tld": ["is", "is", "de", "fr", None],
        "language": ["isl", "eng", "deu", "fra", "isl"],
        "status": pa.array([200, 200, 304, 404, 200], pa.int16()),
        "path": ["/a", "/it's", "/b_c", "/", "/a/b"],
    }
)


def passing(text: str) -> Sequence[int | None]:
    """The rows for which the condition holds."""
    numbered = ROWS.append_column("row", pa.array(range(ROWS.num_rows)))
    return numbered.filter(parse_filter(text, ROWS.column_names))["row"].to_pylist()


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("tld='is' and language='isl'", [0]),
        ("tld = 'is' or tld == 'de'", [0, 1, 2]),
        ("tld='fr' or tld='is' and language='eng'", [1, 3]),
        ("(tld='fr' or tld='is') and language='eng'", [1]),
        ("not status = 200", [2, 3]),
        ("not (status = 200 or status = 304)", [3]),
        ("status != 200 AND status <> 304", [3]),
        ("status >= 304", [2, 3]),
        ("status > 304", [3]),
        ("status < 304 and status <= 200", [0, 1, 4]),
        ("status in (304, 404)", [2, 3]),
        ("language not in ('isl', 'eng')", [2, 3]),
        ("path = '/it''s'", [1]),
        ("path like '/a%'", [0, 4]),
        ("path not like '/_%'", [3]),
        ("status > 199.5 and status < 200.5", [0, 1, 4]),
    ],
)
def test_a_condition_holds_for_its_rows(text, rows):
    assert passing(text) == rows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has the end where a column"),
        ("country = 'is'", r"has 'country' where a column \(tld, language, status, path\) is expected"),
        ("tld", "has the end where an operator"),
        ("tld = ", "has the end where a 'text' or a number is expected"),
        ("tld = is", "has 'is' where a 'text' or a number is expected"),
        ("tld = 'is", 'cannot be understood from "\'is" on'),
        ("tld = 'is' tld = 'de'", "has 'tld' where and, or or the end is expected"),
        ("(tld = 'is'", r"has the end where \) is expected"),
        ("tld in 'is'", r"has \"'is'\" where \( is expected"),
        ("tld not = 'is'", "has '=' where in or like is expected"),
        ("tld = 'is'; drop", "cannot be understood from '; drop' on"),
        ("(" * 1000 + "tld = 'is'", "is nested more than 50 times"),
    ],
)
def test_a_condition_that_says_nothing_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_filter(text, ROWS.column_names)


def test_any_text_is_a_condition_or_refused():
    choice = random.Random(20261121)
    words = ["tld", "status", "and", "or", "not", "in", "like", "(", ")", ",", "=", "<=", "'x'", "'", "200", "1.5", "é"]
    made = refused = 0
    for _ in range(5000):
        text = " ".join(choice.choices(words, k=choice.randrange(1, 9)))
        try:
            parse_filter(text, ROWS.column_names)
            made += 1
        except ValueError:
            refused += 1
    assert made >= 5
    assert refused > 1000
