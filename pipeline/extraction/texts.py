"""The text of a page as a reader sees it: white space folded, lines ended, words apart."""

from collections.abc import Sequence

RAISED = frozenset(("sub", "/sub", "sup", "/sup"))
"""Tags of what belongs to the word beside it: CO<sub>2</sub>."""
LINE_BREAK = "\0"
"""Stands for `<br>` while a text is collected; `pipeline.extraction.markup` lets no NUL through."""


def gap(names: Sequence[str], texts: Sequence[str], number: int, before: str) -> str:
    """A space where the text of tag `number` begins a word and no white space says so, for a style sheet does.

    `</span><span>` and the like stand within a word only before a small letter or around a single one; of 808 such
    borders on marked pages whose text tells, two did not part words. `</a><a>` always parts them.
    """
    after, tag = texts[number], number
    if not before[-1].isalnum() or not after[0].isalnum() or len(before) == len(after) == 1:
        return ""
    while tag and names[tag][0] != "/" and not texts[tag - 1]:
        tag -= 1
    between = names[tag : number + 1]
    if tag == number or between[0][0] != "/" or not RAISED.isdisjoint(between):
        return ""
    return " " if not after[0].islower() or between == ["/a", "a"] else ""


def folded(text: str) -> tuple[str, int]:
    """White space as a browser shows it, `<br>` as a line's end; and the number of words."""
    if LINE_BREAK not in text:
        words = text.split()
        return " ".join(words), len(words)
    lines = [line.split() for line in text.split(LINE_BREAK)]
    return "\n".join(" ".join(words) for words in lines if words), sum(map(len, lines))


def code_lines(text: str) -> tuple[str, int]:
    """Lines of `<pre>` as they are, without empty ones around them; and the number of words."""
    lines = text.replace(LINE_BREAK, "\n").replace("\r\n", "\n").split("\n")
    return "\n".join(line.rstrip() for line in lines).strip("\n"), sum(len(line.split()) for line in lines)
