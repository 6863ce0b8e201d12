"""A condition as it is written on the command line, such as `url_host_tld = 'is' and fetch_status in (200, 304)`.

condition: term ("or" term)*          term: factor ("and" factor)*
factor: "not" factor | "(" condition ")" | column operator value | column ["not"] "in" "(" value ("," value)* ")"
operator: = == != <> < <= > >= like   value: 'text' (a quote inside is doubled) or a number
"""

import re
from collections.abc import Callable, Sequence

import pyarrow.compute as pc

TOKEN = re.compile(r"\s*(?:('(?:[^']|'')*')|(-?\d+(?:\.\d+)?)|(\w+)|(==|!=|<>|<=|>=|[=<>(),]))")
OPERATORS: dict[str, Callable[[pc.Expression, str | float], pc.Expression]] = {
    "=": lambda column, value: column == value,
    "==": lambda column, value: column == value,
    "!=": lambda column, value: column != value,
    "<>": lambda column, value: column != value,
    "<": lambda column, value: column < value,
    "<=": lambda column, value: column <= value,
    ">": lambda column, value: column > value,
    ">=": lambda column, value: column >= value,
}
MOST_NESTING = 50


def parse_filter(text: str, columns: Sequence[str]) -> pc.Expression:
    """The condition that `text` states of `columns`. Raises ValueError in one sentence if it states none."""
    parser = _Parser(text, columns)
    condition = parser.condition()
    if parser.token:
        raise parser.expected("and, or or the end")
    return condition


class _Parser:
    """One pass over the condition; `token` is what stands next, empty at the end."""

    def __init__(self, text: str, columns: Sequence[str]) -> None:
        self._text = text
        self._columns = columns
        self._end = 0
        self._depth = 0
        self.token = ""
        self._advance()

    def expected(self, what: str) -> ValueError:
        found = repr(self.token) if self.token else "the end"
        return ValueError(f"the filter {self._text!r} has {found} where {what} is expected")

    def condition(self) -> pc.Expression:
        found = self._term()
        while self._take("or"):
            found = found | self._term()
        return found

    def _term(self) -> pc.Expression:
        found = self._factor()
        while self._take("and"):
            found = found & self._factor()
        return found

    def _factor(self) -> pc.Expression:
        self._depth += 1
        if self._depth > MOST_NESTING:
            raise ValueError(f"the filter {self._text[:80]!r} is nested more than {MOST_NESTING} times")
        if self._take("not"):
            found = ~self._factor()
        elif self._take("("):
            found = self.condition()
            self._need(")")
        else:
            found = self._comparison()
        self._depth -= 1
        return found

    def _comparison(self) -> pc.Expression:
        if self.token not in self._columns:
            raise self.expected(f"a column ({', '.join(self._columns)})")
        column = pc.field(self._advance())
        negated = self._take("not")
        if self._take("in"):
            found = column.isin(self._values())
            return ~found if negated else found
        if self._take("like"):
            found = pc.match_like(column, str(self._value()))
            return ~found if negated else found
        if negated or self.token not in OPERATORS:
            raise self.expected("in or like" if negated else "an operator (= != < <= > >= in like)")
        return OPERATORS[self._advance()](column, self._value())

    def _values(self) -> list[str | float]:
        self._need("(")
        values = [self._value()]
        while self._take(","):
            values.append(self._value())
        self._need(")")
        return values

    def _value(self) -> str | float:
        token = self.token
        if token.startswith("'"):
            self._advance()
            return token[1:-1].replace("''", "'")
        if re.fullmatch(r"-?\d+(?:\.\d+)?", token):
            self._advance()
            return float(token) if "." in token else int(token)
        raise self.expected("a 'text' or a number")

    def _need(self, token: str) -> None:
        if not self._take(token):
            raise self.expected(token)

    def _take(self, token: str) -> bool:
        """Goes on if `token` stands next, in small letters or capitals."""
        found = self.token.lower() == token
        if found:
            self._advance()
        return found

    def _advance(self) -> str:
        """Goes on to the next token; returns the one that stood there."""
        passed = self.token
        if match := TOKEN.match(self._text, self._end):
            self._end, self.token = match.end(), match[0].strip()
        elif rest := self._text[self._end :].strip():
            raise ValueError(f"the filter {self._text!r} cannot be understood from {rest[:40]!r} on")
        else:
            self.token = ""
        return passed
