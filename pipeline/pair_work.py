"""What a chunk's task does with its pairs: captions are judged, pictures asked for at a door, documents made."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipeline.addresses import canonical
from pipeline.assemble import image_entry
from pipeline.chunks import Chunk
from pipeline.crawl import Tools, in_order, on_a_loop, open_tools
from pipeline.curation.pair_counts import PairCounts
from pipeline.door import Door
from pipeline.fetching.opt_out import OptOut, WithoutOptedOut
from pipeline.images import ImageConfig, NoPicture, Picture, fetch_picture
from pipeline.img2dataset_engine import Downloads
from pipeline.inputs.pair_sets import HeldPictures
from pipeline.inputs.pair_sources import Source, table_of
from pipeline.inputs.pair_table import Pair, Run, read_pairs
from pipeline.ledger import Entry, Outcome, Record
from pipeline.network import OpenNetwork
from pipeline.rules.bounds import Bounds
from pipeline.rules.caption import measure_caption
from pipeline.text_rules import held
from shards.chunk import Tally
from shards.document import Document, Media, Text, document_key
from shards.location import Location

WINDOW = 256
"""Pairs under way at once; the next one begins when the first of them is written, so memory stays bounded."""
Measured = Mapping[str, float]
Judged = tuple[Pair, Record, Mapping[str, Measured]]
"""A pair, what became of its captions, and those that stay, each with its measures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRules:
    """What is kept of a pair, whatever door its picture comes through."""

    caption: Mapping[str, Bounds]
    image: ImageConfig
    image_bytes: int
    """Largest image, in bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """Where the tasks of a run find the pairs, and what is known of all of them."""

    sources: tuple[Source, ...]
    tables: Location
    """The folder of the tables, one for each source."""
    counts: PairCounts | None
    """None if no rule asks for any."""
    opt_out: OptOut

    def judged(self, run: Run, rules: Mapping[str, Bounds]) -> list[Judged]:
        """The pairs of `run`, with their captions held against `rules`."""
        counts = self.counts.of_chunk(run) if self.counts else {}
        return [_judge(pair, place, counts, rules) for place, pair in enumerate(self.pairs(run))]

    def pairs(self, run: Run) -> list[Pair]:
        return read_pairs(table_of(self.tables, run.table), run)


def gather_pairs(
    workplace: Workplace,
    rules: PairRules,
    network: OpenNetwork,
    downloads: Downloads | None,
    chunk: Chunk,
    tally: Tally,
) -> Iterator[Outcome]:
    """An outcome for each pair of `chunk`; pictures come out of the input, of `downloads`, or from the network."""
    run = Run(**chunk.items[0][0])
    judged = workplace.judged(run, rules.caption)
    pairs = [pair for pair, _, _ in judged]
    with on_a_loop(network()) as (runner, door), open_tools(chunk.careful) as tools:
        if workplace.sources[run.table].has_pictures:
            door = WithoutOptedOut(HeldPictures((name_of(pair), pair.held) for pair in pairs), workplace.opt_out)
        elif downloads:
            door = WithoutOptedOut(downloads.door(run, [name_of(pair) for pair in pairs]), workplace.opt_out)
        work = (_work_on_pair(*asked, door, tools, rules) for asked in chunk.asked(judged))
        yield from in_order(runner, work, WINDOW)


def name_of(pair: Pair) -> str:
    """What its picture is asked for by: its canonical address, or what stands for one in a set."""
    return canonical(pair.address) or pair.address


def _judge(pair: Pair, place: int, counts: Mapping[tuple[int, int], Measured], rules: Mapping[str, Bounds]) -> Judged:
    record, kept = Record(pair.address), dict[str, Measured]()
    record.drop("pair", pair.failure)
    for number, text in enumerate(() if pair.failure else pair.captions):
        measures = {**measure_caption(text), **counts.get((place, number), {})}
        entry = Entry(kind="caption", address=pair.address, number=number, reason="" if text else "empty")
        record.entries.append(held(entry, measures, rules))
        if not record.entries[-1].reason:
            kept[text] = measures
    return pair, record, kept


async def _work_on_pair(
    pair: Pair, record: Record, captions: Mapping[str, Measured], door: Door, tools: Tools, rules: PairRules
) -> Outcome:
    if not captions:
        return Outcome(record=record)
    picture = await _fetch_picture(pair, door, tools, rules)
    record.entries.append(image_entry(pair.address, picture))
    if isinstance(picture, NoPicture):
        return Outcome(record=record)
    document = _document(pair, captions, picture)
    record.key = document.key
    return Outcome(record=record, document=document)


async def _fetch_picture(pair: Pair, door: Door, tools: Tools, rules: PairRules) -> Picture | NoPicture:
    if pair.held is None and canonical(pair.address) is None:
        return NoPicture(reason="bad_address")
    return await fetch_picture(door, [name_of(pair)], rules.image_bytes, rules.image, tools.decode)


def _document(pair: Pair, captions: Mapping[str, Measured], picture: Picture) -> Document:
    """The picture, then its captions; measures of several captions are their means."""
    image = Media(kind="image", frames=(picture.frame,), url=picture.url)
    sums = Counter[str]()
    for measures in captions.values():
        sums.update(measures)
    means = {name: total / len(captions) for name, total in sums.items()}
    return Document(
        key=document_key("pair", pair.address, *captions),
        source=pair.address,
        blocks=(image, *(Text(text=text, caption=True) for text in captions)),
        facts=pair.facts,
        measures={**picture.measures, **means},
    )
