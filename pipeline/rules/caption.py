"""Measures of a caption: how long it is, and whether it says anything of its picture.

Those of one caption alone; what many pairs have in common is counted by pipeline/curation/pair_counts.py.
"""

import re
from collections.abc import Mapping

from pipeline.rules.bounds import Measure
from pipeline.rules.quality import is_word, ratio

TOKEN = re.compile(r"\w+|[^\w\s]")
FILE_NAME = re.compile(
    r".*\.(?:jpe?g|png|gif|webp|avif|heic|bmp|tiff?|svg|raw|cr2|nef|psd|mp4|mov|pdf)"
    # what cameras, phones and programs call their files: IMG_1234, DSC01234-2, Screenshot 2020-01-02
    r"|(?:img|dsc[nf]?|dcim|pict?|pxl|mvi|gopr|p|image|photo|picture|scan|screen ?shot|untitled)[\W_]*\d[\d\W_]*"
    r"|(?=\S*\d)(?=\S*[_])\S+",  # one string with an underscore and a digit: alt_img_2
    re.IGNORECASE | re.DOTALL,
)
MONTHS = "january february march april may june july august september october november december".split()
DAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
DATE_WORDS = frozenset(
    [*MONTHS, *DAYS, *(name[:3] for name in MONTHS + DAYS), "sept", "am", "pm", "at", "on", "of", "the", "gmt", "utc"]
)
DATE_NUMBER = re.compile(r"\d{1,4}(?:st|nd|rd|th|h|z)?|t\d{2}|\d{2}t\d{2}|\d{8}", re.IGNORECASE)
DATE_PART = re.compile(r"[^\W_]+")

MEASURES: Mapping[str, Measure] = {
    "words": Measure(what="words: what white space separates and has a letter or a digit (ALIGN: 3 to 20)"),
    "tokens": Measure(what="words and punctuation marks; a language model's tokens are about as many, or more"),
    "letter_ratio": Measure(what="share of characters other than white space that are letters", most=1),
    "file_name": Measure(what="1 if it is the name of a file, such as IMG_1234 or beach.jpg", most=1),
    "date": Measure(what="1 if it is nothing but a date or a time", most=1),
}


def measure_caption(text: str) -> dict[str, float]:
    """The measures of `MEASURES`; of an empty caption all are 0."""
    visible = [character for character in text if not character.isspace()]
    return {
        "words": float(sum(map(is_word, text.split()))),
        "tokens": float(len(TOKEN.findall(text))),
        "letter_ratio": ratio(sum(map(str.isalpha, visible)), len(visible)),
        "file_name": float(FILE_NAME.fullmatch(text.strip()) is not None),
        "date": float(is_date(text)),
    }


def is_date(text: str) -> bool:
    """Whether `text` consists of the parts of a date or a time, and at least one of them is a number or a name."""
    parts = [part.lower() for part in DATE_PART.findall(text)]
    said = [part for part in parts if part not in ("am", "pm", "at", "on", "of", "the")]
    return bool(said) and all(part in DATE_WORDS or DATE_NUMBER.fullmatch(part) for part in parts)
