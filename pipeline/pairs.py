"""Lists of image addresses and captions into image-text documents: one image, then its text."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from jobs.command import run_command
from jobs.connect import resolve
from pipeline.addresses import canonical, parse_networks
from pipeline.fetch import FetchConfig, Fetcher, fetcher_on_a_loop
from pipeline.gather import Chunk, cut, finish, open_output, run_chunks, without
from pipeline.images import ImageConfig, Picture, fetch_picture
from pipeline.lists import count_rows, read_rows
from pipeline.summary import print_estimate, print_summary
from shards.chunk import Tally
from shards.document import Document, Media, Text, document_key

WINDOW = 128
"""Pairs under way at once; the next ones begin when these are written, so memory stays bounded."""


@dataclass(frozen=True, kw_only=True)
class PairsConfig:
    """A run of `pipeline.pairs`."""

    input: str
    """List of pairs: CSV, TSV, JSONL or Parquet."""
    output: str
    """Folder or address for the dataset."""
    url_col: str = "url"
    """Column with the addresses of the images."""
    caption_col: str = "caption"
    """Column with the texts."""
    limit: int | None = None
    """Most pairs to ask for; then an estimate for the whole is printed."""
    allow_network: str = ""
    """Networks that are not public and may be reached all the same, separated by commas: 127.0.0.0/8."""
    chunk_pairs: int = 500
    """Pairs that are worked on, committed and, after a crash, done again together."""
    image: ImageConfig = field(default_factory=ImageConfig)
    fetch: FetchConfig = field(default_factory=FetchConfig)

    def __post_init__(self) -> None:
        for name in ("limit", "chunk_pairs"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or greater")
        parse_networks(self.allow_network)


def run(config: PairsConfig) -> None:
    """Gathers the pairs, writes the dataset, prints the summary."""
    file = resolve("input", config.input)
    rows = read_rows(file, [config.url_col, config.caption_col], config.limit)
    pairs = [[row[config.url_col], row[config.caption_col]] for row in rows]
    output = open_output(
        config.output, "pipeline.pairs", without(config, "input", "output", "limit", "allow_network", "fetch")
    )
    commits = run_chunks(output, cut(pairs, config.chunk_pairs), partial(_gather_pairs, config))
    manifest, changed = finish(output, commits)
    print_summary(output, manifest, changed)
    if config.limit and changed:
        print_estimate(output, manifest, len(pairs), count_rows(file), "pairs")


def _gather_pairs(config: PairsConfig, chunk: Chunk, tally: Tally) -> Iterator[Document]:
    with fetcher_on_a_loop(config.fetch, config.allow_network) as (runner, fetcher):
        for start in range(0, len(chunk.items), WINDOW):
            pairs = [(url, caption.strip()) for url, caption in chunk.items[start : start + WINDOW]]
            pictures = runner.run(_fetch_pictures(fetcher, [url for url, _ in pairs], config))
            tally.count("pairs", len(pairs))
            for (url, caption), picture in zip(pairs, pictures, strict=True):
                if isinstance(picture, str):
                    tally.drop(f"image_{picture}")
                elif not caption:
                    tally.drop("caption_empty")
                else:
                    yield _pair(url, caption, picture)


async def _fetch_pictures(fetcher: Fetcher, urls: Sequence[str], config: PairsConfig) -> list[Picture | str]:
    async def fetch(url: str) -> Picture | str:
        address = canonical(url)
        if address is None:
            return "bad_address"
        return await fetch_picture(fetcher, [address], config.fetch.image_bytes, config.image)

    return await asyncio.gather(*map(fetch, urls))


def _pair(url: str, caption: str, picture: Picture) -> Document:
    image = Media(kind="image", frames=(picture.frame,), url=picture.url)
    return Document(
        key=document_key("pair", url, caption), source=url, blocks=(image, Text(text=caption, caption=True))
    )


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(PairsConfig, run, __doc__ or "", argv)


if __name__ == "__main__":
    raise SystemExit(main())
