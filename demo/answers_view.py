"""What the trained model said of held-out digits, as HTML: single answers, and all of them counted in a table."""

from collections import Counter
from collections.abc import Sequence
from html import escape

from demo.digits import WORDS
from demo.findings import Answer
from demo.held_out import named
from shards.show import data_uri

SHOWN = 16
NO_DIGIT = "none"


def answers_html(answers: Sequence[Answer]) -> str:
    """The first answers as they came, then the mistakes among all, then which digit was taken for which."""
    mistakes = [answer for answer in answers if is_mistake(answer)]
    first = min(SHOWN, len(answers))
    shown = min(SHOWN, len(mistakes))
    parts = [
        f"<h3>The first {first} of {len(answers):,}, not chosen</h3>",
        answer_table(answers[:first]),
        f"<h3>Mistakes: {shown} of {len(mistakes):,}</h3>",
        answer_table(mistakes[:shown]) if mistakes else "<p>With its own or the wrong picture, none was made.</p>",
        "<h3>Which digit was named</h3>",
        "<p>A row for each digit shown, a column for each digit named, with the digit's own picture. "
        "Off the diagonal are mistakes.</p>",
        confusion_table(answers),
    ]
    return "\n".join(parts)


def is_mistake(answer: Answer) -> bool:
    """Whether a caption, with the right or the wrong picture, fails to name the digit that was shown."""
    return named(answer.caption) != answer.label or named(answer.caption_wrong) != answer.wrong_label


def answer_table(answers: Sequence[Answer]) -> str:
    """A row an answer: the right picture and what it made the model say, then a blank, then the wrong picture."""
    rows = "\n".join(answer_row(answer) for answer in answers)
    return (
        '<div class="wide"><table class="answers"><thead><tr><th class="digit">Right</th><th class="label">shows</th>'
        "<th>Caption</th><th>Caption with a blank</th>"
        '<th class="digit">Wrong</th><th class="label">shows</th><th>Caption</th></tr></thead>\n'
        f"<tbody>{rows}</tbody></table></div>"
    )


def answer_row(answer: Answer) -> str:
    cells = (
        picture_cells(answer.picture, answer.label),
        caption_cell(answer.caption, answer.label),
        f'<td class="quiet">{escape(answer.caption_blank)}</td>',
        picture_cells(answer.wrong_picture, answer.wrong_label),
        caption_cell(answer.caption_wrong, answer.wrong_label),
    )
    return f"<tr>{''.join(cells)}</tr>"


def picture_cells(picture: bytes, label: str) -> str:
    """Two cells: the picture, and the digit that it shows."""
    return f'<td class="digit"><img src="{data_uri(picture, "png")}" alt=""></td><td>{escape(label)}</td>'


def caption_cell(caption: str, label: str) -> str:
    """A cell with the caption and whether it names what the picture shows."""
    if named(caption) == label:
        return f'<td><span class="right" title="names it">✓</span> {escape(caption)}</td>'
    return f'<td class="mistake"><span class="wrong">✗ mistake</span> {escape(caption)}</td>'


def confusion_table(answers: Sequence[Answer]) -> str:
    """Counts by the digit shown (rows) and the first digit that the caption names (columns)."""
    counts = Counter((answer.label, named(answer.caption) or NO_DIGIT) for answer in answers)
    columns = (*WORDS, NO_DIGIT)
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    rows = "\n".join(
        f'<tr><th scope="row">{word}</th>'
        + "".join(count_cell(counts[word, column], right=word == column) for column in columns)
        + "</tr>"
        for word in WORDS
    )
    return f'<div class="wide"><table class="confusion"><tr><td></td>{head}</tr>\n{rows}</table></div>'


def count_cell(count: int, right: bool) -> str:
    kind = "right" if right else "mistake" if count else "quiet"
    return f'<td class="{kind}">{count or "·"}</td>'
