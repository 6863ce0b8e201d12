"""Makes a folder of web pages whose content is known, from the test fixtures of two extraction projects.

postlight/parser keeps a page of each site that it knows, and the selectors that its people wrote for the site's
content. flairNLP/fundus keeps a page of each newspaper that it knows, and the paragraphs and pictures that its people
expect of it. `benchmarks.train_salience` reads the folder; neither project belongs to the exam sets of this one.
"""

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.fundus_pages import fundus_pages
from benchmarks.labels import WORD, Label
from benchmarks.postlight_pages import postlight_pages
from jobs.command import InputError, run_command

EXCLUDED: Mapping[str, str] = {
    "label ends in links to other pages, a gallery, or an appeal": (
        "postlight-buzzap.jp postlight-clinicaltrials.gov postlight-deadline.com postlight-epaper.zeit.de "
        "postlight-fandom.wikia.com postlight-hellogiggles.com postlight-ici.radio-canada.ca postlight-ma.ttias.be "
        "postlight-obamawhitehouse.archives.gov--empty postlight-thefederalistpapers.org postlight-thoughtcatalog.com "
        "postlight-timesofindia.indiatimes.com postlight-wired.jp postlight-www.aol.com postlight-www.bustle.com "
        "postlight-www.cnbc.com--redesign postlight-www.cnn.com postlight-www.ladbible.com postlight-www.ndtv.com "
        "postlight-www.littlethings.com postlight-www.macrumors.com postlight-www.moongift.jp "
        "postlight-www.popsugar.com postlight-www.ossnews.jp postlight-www.politico.com--test-case-3 "
        "postlight-www.prospectmagazine.co.uk postlight-www.publickey1.jp postlight-www.today.com "
        "postlight-www.usmagazine.com postlight-www.vox.com postlight-www.washingtonpost.com "
        "postlight-www.westernjournalism.com postlight-www.wired.com--other"
    ),
    "page has the content twice, scrambled, or hardly at all": (
        "postlight-pastebin.com postlight-www.abendblatt.de postlight-www.asahi.com postlight-www.yomiuri.co.jp "
        "postlight-www.yahoo.com postlight-www.youtube.com postlight-twitter.com postlight-genius.com "
        "fundus-cn-People_2024_04_24 fundus-jp-AsahiShimbun_2025_01_13 fundus-jp-ChunichiShimbun_2025_01_13 "
        "fundus-de-Taz_2024_10_23"
    ),
    "label lacks lists, answers, or posts of the article": (
        "postlight-www.bloomberg.com--news fundus-ch-SRF_2024_04_15 fundus-de-Focus_2023_04_28 "
        "fundus-de-RuhrNachrichten_2024_05_03 fundus-de-WDR_2024_04_22 fundus-no-Dagbladet_2026_01_06 "
        "fundus-no-Nettavisen_2024_10_16 fundus-uk-Metro_2024_07_17 fundus-us-TheGatewayPundit_2026_07_19 "
        "fundus-za-DailyMaverick_2025_05_22"
    ),
}
"""Pages whose label a person found wrong, by what is wrong with it."""
UNSURE_PICTURES = frozenset(
    (
        *("fundus-de-BoersenZeitung_2024_10_23", "fundus-de-BoersenZeitung_2024_12_16"),
        *("fundus-uk-TheMirror_2024_04_28", "fundus-uk-TheMirror_2024_08_05"),
        *("fundus-de-NDR_2023_04_28", "fundus-de-NDR_2025_06_18"),
        *("postlight-www.elecom.co.jp", "postlight-www.rbbtoday.com"),
    )
)
"""Pages where no `<img>` has a listed address, or where the list has placeholders or icons found all over the page."""
LEAST_WORDS = 100


@dataclass(frozen=True, kw_only=True)
class FixtureConfig:
    """Which pages are read, and where they go."""

    checkout: Path
    """A checkout of github.com/postlight/parser."""
    output: Path
    """Folder that gets the pages and ground-truth.json."""
    fundus: Path | None = None
    """A checkout of github.com/flairNLP/fundus, for its pages too."""

    def __post_init__(self) -> None:
        """Refuses folders that are no such checkout."""
        for folder, part in ((self.checkout, "src/extractors/custom"), (self.fundus, "tests/resources/parser")):
            if folder and not (folder / part).is_dir():
                raise ValueError(f"{folder} has no {part}; give a checkout of the whole repository")


def make_folder(config: FixtureConfig) -> None:
    """Writes the pages and their labels."""
    config.output.mkdir(parents=True, exist_ok=True)
    labels: dict[str, Label] = {}
    excluded = {name for names in EXCLUDED.values() for name in names.split()}
    for name, html, label in _all_pages(config):
        if name not in excluded and len(WORD.findall(label.articleBody)) >= LEAST_WORDS:
            (config.output / f"{name}.html.gz").write_bytes(gzip.compress(html, mtime=0))
            labels[name] = replace(label, images=None) if name in UNSURE_PICTURES else label
    if not labels:
        raise InputError(f"no page of {config.checkout} has a label; give a checkout of the whole repository")
    truth = {name: asdict(label) for name, label in labels.items()}
    (config.output / "ground-truth.json").write_text(json.dumps(truth, ensure_ascii=False, indent=1))
    pictured = sum(bool(label.images) for label in labels.values())
    print(f"{len(labels)} pages, {pictured} of them with pictures, in {config.output}.")


def _all_pages(config: FixtureConfig) -> Iterator[tuple[str, bytes, Label]]:
    yield from postlight_pages(config.checkout)
    if config.fundus:
        yield from fundus_pages(config.fundus)


if __name__ == "__main__":
    raise SystemExit(run_command(FixtureConfig, make_folder, __doc__ or ""))
