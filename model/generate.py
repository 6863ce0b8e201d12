"""Answer in the terminal: `python -m model.generate --adapters DIR --image x.jpg "text"`."""

import sys
from pathlib import Path

from jsonargparse import ArgumentParser
from transformers.utils import logging

from model.flamingo import Flamingo
from model.image import open_image
from model.language import IMAGE_TOKEN
from model.prompt import Prompt, prompt_batch


def command_line() -> ArgumentParser:
    """The flags of the command."""
    parser = ArgumentParser(prog="python -m model.generate", description="Continue a text about images.")
    parser.add_argument("--adapters", required=True, type=Path, help="folder that training wrote")
    parser.add_argument("--image", action="append", default=[], help="picture; may be repeated")
    parser.add_argument("--max_new_tokens", type=int, default=64, help="longest answer, in tokens")
    parser.add_argument("text", help="what stands after the images; may be empty", nargs="?", default="")
    return parser


def answer(adapters: Path, images: list[str], text: str, max_new_tokens: int) -> str:
    """What the model says after the images and the text. Raises ValueError on input it cannot use."""
    opened = tuple(open_image(Path(path)) for path in images)
    flamingo = Flamingo.from_pretrained(adapters)
    prompt = Prompt(text=IMAGE_TOKEN * len(opened) + text, images=opened)
    return flamingo.generate(prompt_batch(flamingo, [prompt]), max_new_tokens=max_new_tokens)[0]


def main(argv: list[str] | None = None) -> int:
    """Print the answer, or `error: ` and a sentence; the exit code is 2 for bad input."""
    arguments = command_line().parse_args(argv)
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        print(answer(arguments.adapters, arguments.image, arguments.text, arguments.max_new_tokens))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
