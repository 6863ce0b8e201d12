"""Lists of image addresses and captions, and sets of pictures that came already, into documents: an image, its text.

input ─► tables of pairs ─► counts over all of them ─► chunks: captions judged ─► pictures ─► documents
         pair_sources.py    pair_counts.py             rules/caption.py          a door: the web, the set, img2dataset
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial

from jobs.command import run_command
from jobs.connect import resolve
from pipeline.addresses import canonical
from pipeline.assemble import image_entry
from pipeline.caption_lengths import print_lengths
from pipeline.chunks import Chunk, Work, name_chunks
from pipeline.crawl import Tools, in_order, on_a_loop, open_tools
from pipeline.curation import pair_counts
from pipeline.curation.pair_counts import PairCounts, count_pairs
from pipeline.door import Door
from pipeline.fetching.opt_out import NOBODY, OptOut, WithoutOptedOut, read_opt_out
from pipeline.gather import WORK, finish, open_output, run_chunks, without
from pipeline.images import ImageConfig, NoPicture, Picture, fetch_picture
from pipeline.inputs.pair_lists import Columns
from pipeline.inputs.pair_sets import HeldPictures
from pipeline.inputs.pair_sources import Source, check_columns, find_sources, table_of, write_tables
from pipeline.inputs.pair_table import Captions, Pair, Run, read_pairs
from pipeline.ledger import Entry, Outcome, Record
from pipeline.network import NetworkConfig, OpenNetwork, closed_network, network_when_needed
from pipeline.rules import caption as caption_rules
from pipeline.rules.bounds import Bounds, check_rules
from pipeline.summary import print_estimate, print_summary
from pipeline.text_rules import held
from shards.chunk import Tally
from shards.document import Document, Media, Text, document_key
from shards.location import Location

WINDOW = 256
"""Pairs under way at once; the next one begins when the first of them is written, so memory stays bounded."""
NOT_IN_DOCUMENTS = (
    "input", "output", "limit", "allow_network", "opt_out", "chunk_seconds", "retry_failed", "fetch",
)  # fmt: skip
"""Settings that may change from run to run: the documents that stand do not depend on them."""
MEASURES = {**caption_rules.MEASURES, **pair_counts.MEASURES}


@dataclass(frozen=True, kw_only=True)
class PairsConfig(NetworkConfig):
    """A run of `pipeline.pairs`."""

    input: str
    """List (txt, CSV, TSV, JSON, JSONL, Parquet), what img2dataset wrote (folder, .tar), or a path with * in it."""
    output: str
    """Folder or address for the dataset."""
    url_col: str = "url"
    """Column with the addresses of the images."""
    caption_col: str = "caption"
    """Column with the texts; all other columns are kept as facts."""
    captions: Captions = "apart"
    """Several captions of one picture, in one cell or in rows that follow each other: a document each, or one."""
    caption: dict[str, Bounds] = field(default_factory=dict[str, Bounds])
    """Bounds on measures of each caption, by measure, in order; they are judged before pictures are asked for."""
    limit: int | None = None
    """Most pairs to ask for; then an estimate for the whole is printed."""
    chunk_pairs: int = 500
    """Pairs that are worked on, committed and, after a crash, done again together."""
    image: ImageConfig = field(default_factory=ImageConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rules("caption", self.caption, MEASURES)
        for name in ("limit", "chunk_pairs"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or greater")

    @property
    def columns(self) -> Columns:
        return Columns(url=self.url_col, caption=self.caption_col)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """Where the tasks of a run find the pairs, and what is known of all of them."""

    sources: tuple[Source, ...]
    tables: Location
    """The folder of the tables, one for each source."""
    counts: PairCounts | None
    """None if no rule asks for any."""
    opt_out: OptOut

    def pairs(self, run: Run) -> list[Pair]:
        return read_pairs(table_of(self.tables, run.table), run)


def run(config: PairsConfig) -> None:
    """Gathers the pairs, writes the dataset, prints the summary."""
    sources = tuple(find_sources(resolve("input", config.input)))
    check_columns(sources[0], config.columns)
    output = open_output(config.output, "pipeline.pairs", without(config, *NOT_IN_DOCUMENTS))
    tables = output.location / WORK / "pairs"
    runs = write_tables(sources, config.columns, config.captions, config.chunk_pairs, tables)
    taken = within(runs, config.limit)
    counts = counts_of(config, output.location, taken)
    with network_when_needed(config, output.location) as network:
        opt_out = read_opt_out(resolve("opt_out", config.opt_out)) if config.opt_out else NOBODY
        workplace = Workplace(sources=sources, tables=tables, counts=counts, opt_out=opt_out)

        def prepare() -> Work:
            if counts:
                count_pairs(counts, taken, workplace.pairs)
            web = closed_network if all(source.has_pictures for source in sources) else network()
            return partial(_gather, config, workplace, web)

        commits = run_chunks(output, chunks_of(taken, counts), prepare, config.retry_failed)
    manifest, changed = finish(output, commits)
    print_summary(output, manifest, changed)
    print_lengths(output.location, manifest)
    if config.limit and changed:
        print_estimate(output, manifest, pairs_in(taken), pairs_in(runs), "pairs")


def within(runs: Sequence[Run], limit: int | None) -> list[Run]:
    """The first of `runs`, up to `limit` pairs in all."""
    room, taken = limit if limit is not None else pairs_in(runs), list[Run]()
    for run in runs:
        if room > 0:
            taken.append(replace(run, pairs=min(run.pairs, room)))
        room -= run.pairs
    return taken


def pairs_in(runs: Sequence[Run]) -> int:
    return sum(run.pairs for run in runs)


def counts_of(config: PairsConfig, output: Location, runs: Sequence[Run]) -> PairCounts | None:
    """What `config` wants to know of all pairs; those of other inputs lie elsewhere."""
    measures = frozenset(config.caption) & pair_counts.MEASURES.keys()
    if not measures:
        return None
    digest = hashlib.sha256("".join(run.digest for run in runs).encode()).hexdigest()[:16]
    return PairCounts(folder=output / WORK / f"counts-{digest}", measures=measures, captions=pairs_in(runs))


def chunks_of(runs: Sequence[Run], counts: PairCounts | None) -> list[Chunk]:
    """A chunk for each of `runs`; where pairs are held against all others, it is that of this very input."""
    return name_chunks([[asdict(run), counts.folder.name if counts else ""]] for run in runs)


def _gather(
    config: PairsConfig, workplace: Workplace, network: OpenNetwork, chunk: Chunk, tally: Tally
) -> Iterator[Outcome]:
    run = Run(**chunk.items[0][0])
    pairs = workplace.pairs(run)
    counts = workplace.counts.of_chunk(run) if workplace.counts else {}
    with on_a_loop(network()) as (runner, web), open_tools(chunk.careful) as tools:
        kept = workplace.sources[run.table].has_pictures
        door = WithoutOptedOut(HeldPictures(pairs), workplace.opt_out) if kept else web
        asked = chunk.asked(list(enumerate(pairs)))
        work = (_work_on_pair(pair, place, counts, door, tools, config) for place, pair in asked)
        yield from in_order(runner, work, WINDOW)


async def _work_on_pair(
    pair: Pair,
    place: int,
    counts: Mapping[tuple[int, int], Mapping[str, float]],
    door: Door,
    tools: Tools,
    config: PairsConfig,
) -> Outcome:
    record = Record(pair.address)
    record.drop("pair", pair.failure)
    if pair.failure:
        return Outcome(record=record)
    captions = _judge_captions(pair, place, counts, record, config.caption)
    if not captions:
        return Outcome(record=record)
    picture = await _fetch_picture(pair, door, tools, config)
    record.entries.append(image_entry(pair.address, picture))
    if isinstance(picture, NoPicture):
        return Outcome(record=record)
    document = _document(pair, captions, picture)
    record.key = document.key
    return Outcome(record=record, document=document)


def _judge_captions(
    pair: Pair,
    place: int,
    counts: Mapping[tuple[int, int], Mapping[str, float]],
    record: Record,
    rules: Mapping[str, Bounds],
) -> dict[str, Mapping[str, float]]:
    """The captions that stay, each with its measures; `record` gets an entry for each of them all."""
    kept = dict[str, Mapping[str, float]]()
    for number, text in enumerate(pair.captions):
        measures = {**caption_rules.measure_caption(text), **counts.get((place, number), {})}
        entry = Entry(kind="caption", address=pair.address, number=number, reason="" if text else "empty")
        record.entries.append(held(entry, measures, rules))
        if not record.entries[-1].reason:
            kept[text] = measures
    return kept


async def _fetch_picture(pair: Pair, door: Door, tools: Tools, config: PairsConfig) -> Picture | NoPicture:
    address = pair.address if pair.held else canonical(pair.address)
    if address is None:
        return NoPicture(reason="bad_address")
    return await fetch_picture(door, [address], config.fetch.image_bytes, config.image, tools.decode)


def _document(pair: Pair, captions: Mapping[str, Mapping[str, float]], picture: Picture) -> Document:
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


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(PairsConfig, run, __doc__ or "", argv)


if __name__ == "__main__":
    raise SystemExit(main())
