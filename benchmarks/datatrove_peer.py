"""datatrove's Gopher filters on a list of texts: run by the interpreter of the environment that it is installed in.

    python -m venv ENV && ENV/bin/pip install 'datatrove[processing]==0.9.0' spacy

Prints one line of JSON: CPU seconds of the filters as datatrove runs them, the second on what the first keeps; CPU
seconds of their tokeniser alone, which they share; and for each text why it was dropped, or nothing.
"""

import argparse
import importlib.metadata  # which datatrove 0.9.0 needs, and does not import
import json
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

WARM_UP = 10
"""Texts after which the filters have loaded what they load."""


def main() -> None:
    """Filters the texts of the list that is named, and says how long that took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("texts", type=Path, help="JSON file, a list of strings")
    texts = json.loads(parser.parse_args().texts.read_text())
    # Imported by name, so that the project's own environment can do without datatrove.
    make_document = import_module("datatrove.data").Document
    names = ("GopherQualityFilter", "GopherRepetitionFilter")
    filters = [getattr(import_module("datatrove.pipeline.filters"), name)() for name in names]
    tokenise = import_module("datatrove.utils.word_tokenizers").load_word_tokenizer("eng").word_tokenize
    for text in texts[:WARM_UP]:
        # Something else than what is timed: the tokeniser's last results are kept.
        _reason(filters, make_document(text=f"{text} again", id=""))
    seconds, reasons = _timed(lambda text: _reason(filters, make_document(text=text, id="")), texts)
    tokeniser_seconds, _ = _timed(tokenise, texts)
    figures = {"seconds": seconds, "tokeniser_seconds": tokeniser_seconds, "reasons": reasons}
    print(json.dumps(figures | {"version": importlib.metadata.version("datatrove")}))


def _reason(filters: Sequence[Any], document: Any) -> str:
    """Why one of `filters` drops `document`, or nothing."""
    for gopher in filters:
        kept = gopher.filter(document)
        if kept is not True:
            return kept[1]
    return ""


def _timed(work: Callable[[str], Any], texts: Sequence[str]) -> tuple[float, list[Any]]:
    """CPU seconds of `work` on all `texts`, and what it gave."""
    started = time.process_time()
    results = [work(text) for text in texts]
    return time.process_time() - started, results


if __name__ == "__main__":
    main()
