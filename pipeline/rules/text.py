"""Measures of text."""


def word_count(text: str) -> int:
    """Words, separated by white space."""
    return len(text.split())
