"""Lists of image addresses and captions into image-text documents: one image, then its text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from jobs.command import run_command
from jobs.connect import resolve
from pipeline.addresses import canonical
from pipeline.assemble import image_entry
from pipeline.chunks import Chunk, cut
from pipeline.crawl import Tools, in_order, on_a_loop, open_tools
from pipeline.door import Door
from pipeline.gather import finish, open_output, run_chunks, without
from pipeline.images import ImageConfig, NoPicture, Picture, fetch_picture
from pipeline.inputs.lists import count_rows, read_rows
from pipeline.ledger import Outcome, Record
from pipeline.network import NetworkConfig, OpenNetwork, network_when_needed
from pipeline.summary import print_estimate, print_summary
from shards.chunk import Tally
from shards.document import Document, Media, Text, document_key

WINDOW = 256
"""Pairs under way at once; the next one begins when the first of them is written, so memory stays bounded."""
NOT_IN_DOCUMENTS = (
    "input", "output", "limit", "allow_network", "chunk_seconds", "retry_failed", "fetch",
)  # fmt: skip
"""Settings that may change from run to run: the documents that stand do not depend on them."""


@dataclass(frozen=True, kw_only=True)
class PairsConfig(NetworkConfig):
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
    chunk_pairs: int = 500
    """Pairs that are worked on, committed and, after a crash, done again together."""
    image: ImageConfig = field(default_factory=ImageConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("limit", "chunk_pairs"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or greater")


def run(config: PairsConfig) -> None:
    """Gathers the pairs, writes the dataset, prints the summary."""
    file = resolve("input", config.input)
    rows = read_rows(file, [config.url_col, config.caption_col], config.limit)
    pairs = [[row[config.url_col], row[config.caption_col]] for row in rows]
    output = open_output(config.output, "pipeline.pairs", without(config, *NOT_IN_DOCUMENTS))
    with network_when_needed(config, output.location) as network:
        chunks = cut(pairs, config.chunk_pairs)
        commits = run_chunks(output, chunks, lambda: partial(_gather, config, network()), config.retry_failed)
    manifest, changed = finish(output, commits)
    print_summary(output, manifest, changed)
    if config.limit and changed:
        print_estimate(output, manifest, len(pairs), count_rows(file), "pairs")


def _gather(config: PairsConfig, network: OpenNetwork, chunk: Chunk, tally: Tally) -> Iterator[Outcome]:
    with on_a_loop(network()) as (runner, door), open_tools(chunk.careful) as tools:
        pairs = chunk.asked(chunk.items)
        work = (_work_on_pair(url, caption.strip(), door, tools, config) for url, caption in pairs)
        yield from in_order(runner, work, WINDOW)


async def _work_on_pair(url: str, caption: str, door: Door, tools: Tools, config: PairsConfig) -> Outcome:
    record = Record(url)
    record.keep("pair")
    picture = await _fetch_picture(url, door, tools, config)
    record.entries.append(image_entry(url, picture))
    if isinstance(picture, NoPicture):
        return Outcome(record=record)
    if not caption:
        record.drop("caption", "empty")
        return Outcome(record=record)
    document = _pair(url, caption, picture)
    record.key = document.key
    return Outcome(record=record, document=document)


async def _fetch_picture(url: str, door: Door, tools: Tools, config: PairsConfig) -> Picture | NoPicture:
    address = canonical(url)
    if address is None:
        return NoPicture(reason="bad_address")
    return await fetch_picture(door, [address], config.fetch.image_bytes, config.image, tools.decode)


def _pair(url: str, caption: str, picture: Picture) -> Document:
    image = Media(kind="image", frames=(picture.frame,), url=picture.url)
    return Document(
        key=document_key("pair", url, caption), source=url, blocks=(image, Text(text=caption, caption=True))
    )


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(PairsConfig, run, __doc__ or "", argv)


if __name__ == "__main__":
    raise SystemExit(main())
