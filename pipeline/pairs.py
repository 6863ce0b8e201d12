"""Lists of image addresses and captions, and sets of pictures that came already, into documents: an image, its text.

input ─► tables of pairs ─► counts over all of them ─► chunks: captions judged ─► pictures ─► documents
         pair_sources.py    pair_counts.py             rules/caption.py          a door: the web, the set, img2dataset
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Literal

from jobs.command import run_command
from jobs.connect import resolve
from pipeline.caption_lengths import print_lengths
from pipeline.chunks import Chunk, Work, name_chunks
from pipeline.curation import pair_counts
from pipeline.curation.pair_counts import PairCounts, count_pairs
from pipeline.fetching.opt_out import NOBODY, read_opt_out
from pipeline.gather import WORK, finish, open_output, run_chunks, without
from pipeline.images import ImageConfig
from pipeline.img2dataset_engine import Downloads, Img2datasetOptions
from pipeline.inputs.pair_lists import Columns
from pipeline.inputs.pair_sources import check_columns, find_sources, write_tables
from pipeline.inputs.pair_table import Captions, Run
from pipeline.network import NetworkConfig, OpenNetwork, closed_network, network_when_needed
from pipeline.pair_downloads import download_pairs
from pipeline.pair_work import PairRules, Workplace, gather_pairs
from pipeline.rules import caption as caption_rules
from pipeline.rules.bounds import Bounds, check_rules
from pipeline.summary import print_estimate, print_summary
from shards.location import Location
from shards.manifest import read_commits

NOT_IN_DOCUMENTS = (
    "input", "output", "engine", "limit", "allow_network", "opt_out", "chunk_seconds", "retry_failed", "fetch",
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
    engine: Literal["native", "img2dataset"] = "native"
    """What gets the pictures of lists; img2dataset is for those who have tuned it, and speaks to the web through us."""
    trust_list: bool = False
    """Let img2dataset ask the list's addresses itself: no robots.txt, no pace, no bounds, and the name of Firefox."""
    img2dataset: Img2datasetOptions = field(default_factory=Img2datasetOptions)
    """Its options, for engine img2dataset."""
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
        if self.trust_list and self.engine != "img2dataset":
            raise ValueError("trust_list is for engine img2dataset; the native engine always asks as it should")
        if self.retry_failed and self.engine == "img2dataset":
            raise ValueError("retry_failed is for engine native, which gives the same documents; leave out engine")

    @property
    def rules(self) -> PairRules:
        return PairRules(caption=self.caption, image=self.image, image_bytes=self.fetch.image_bytes)

    @property
    def columns(self) -> Columns:
        return Columns(url=self.url_col, caption=self.caption_col)


def run(config: PairsConfig) -> None:
    """Gathers the pairs, writes the dataset, prints the summary."""
    sources = tuple(find_sources(resolve("input", config.input)))
    check_columns(sources[0], config.columns)
    output = open_output(config.output, "pipeline.pairs", without(config, *NOT_IN_DOCUMENTS))
    tables = output.location / WORK / "pairs"
    runs = write_tables(sources, config.columns, config.captions, config.chunk_pairs, tables)
    taken = within(runs, config.limit)
    counts = counts_of(config, output.location, taken)
    with network_when_needed(_without_deadline(config), output.location) as network:
        opt_out = read_opt_out(resolve("opt_out", config.opt_out)) if config.opt_out else NOBODY
        workplace = Workplace(sources=sources, tables=tables, counts=counts, opt_out=opt_out)

        def prepare() -> Work:
            if counts:
                count_pairs(counts, taken, workplace.pairs)
            if config.engine == "img2dataset":
                downloads = _download(config, output.location, workplace, taken, network)
                return partial(gather_pairs, workplace, config.rules, closed_network, downloads)
            web = closed_network if all(source.has_pictures for source in sources) else network()
            return partial(gather_pairs, workplace, config.rules, web, None)

        commits = run_chunks(output, chunks_of(taken, counts), prepare, config.retry_failed)
    manifest, changed = finish(output, commits)
    print_summary(output, manifest, changed)
    print_lengths(output.location, manifest)
    if config.trust_list:
        print("note: trust_list: img2dataset asked the list's addresses itself, without robots.txt, pace or bounds")
    if config.limit and changed:
        print_estimate(output, manifest, pairs_in(taken), pairs_in(runs), "pairs")


def _without_deadline(config: PairsConfig) -> NetworkConfig:
    """For img2dataset, which asks for all chunks in one go: each address has the time of a chunk there."""
    return config if config.engine == "native" else replace(config, chunk_seconds=math.inf)


def _download(
    config: PairsConfig,
    output: Location,
    workplace: Workplace,
    runs: Sequence[Run],
    network: Callable[[], OpenNetwork],
) -> Downloads | None:
    """What img2dataset brings for the lists among `runs` whose chunks are not committed; None if there is none."""
    committed = {commit.chunk for commit in read_commits(output)}
    chunks = zip(chunks_of(runs, workplace.counts), runs, strict=True)
    pending = [run for chunk, run in chunks if chunk.id not in committed]
    asked = [run for run in pending if not workplace.sources[run.table].has_pictures]
    if not asked:
        return None
    web = None if config.trust_list else network()
    options = config.img2dataset
    return download_pairs(
        output / WORK, workplace, asked, config.rules, options, network=web, seconds=config.chunk_seconds
    )


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
    digest = hashlib.sha256("".join(f"{run.digest}{run.pairs}" for run in runs).encode()).hexdigest()[:16]
    return PairCounts(folder=output / WORK / f"counts-{digest}", measures=measures, captions=pairs_in(runs))


def chunks_of(runs: Sequence[Run], counts: PairCounts | None) -> list[Chunk]:
    """A chunk for each of `runs`; where pairs are held against all others, it is that of this very input."""
    return name_chunks([[asdict(run), counts.folder.name if counts else ""]] for run in runs)


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(PairsConfig, run, __doc__ or "", argv)


if __name__ == "__main__":
    raise SystemExit(main())
