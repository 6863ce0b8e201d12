"""The demo's report: one page that holds everything it shows, asks no network and runs no script.

What pages and models said is escaped where it is put in; the scraped pages stand in frames that may do nothing.
"""

import json
from collections.abc import Iterator, Sequence
from html import escape
from itertools import islice
from pathlib import Path
from typing import Any

from demo.answers_view import answers_html
from demo.charts import line_chart, running_mean
from demo.findings import Findings
from demo.headline import headline_html
from demo.page_view import page_html
from demo.report_style import CSS
from shards.dataset import Dataset, open_dataset
from shards.document import Document
from shards.show import STYLE, document_html, funnel_html

REPORT = "report.html"
PAGES, PAIRS, VIDEOS = 6, 3, 2
FEWEST_IMAGES = 2
"""A page with fewer is not shown: it would say little of how pictures and texts keep their order."""
SMOOTHING = 20
"""Updates that the bold line of a loss averages over."""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def write_report(folder: Path, findings: Findings) -> Path:
    """Writes `folder`/report.html and returns its path.

    Raises DatasetError if a dataset cannot be read, and ValueError if a document's page is not in the site.
    """
    path = folder / REPORT
    path.write_text(report_html(findings), encoding="utf-8")
    return path


def report_html(findings: Findings) -> str:
    """The whole page."""
    web, pairs, videos = (open_dataset(uri) for uri in (findings.web, findings.pairs, findings.videos))
    sections = {
        "Figures": headline_html(findings.summary),
        "Captions": captions_section(findings),
        "Pages": pages_section(web, findings),
        "Pairs and videos": pairs_and_videos(pairs, videos),
        "Funnels": funnels([web, pairs, videos]),
        "Training": training_section(findings.log),
        "Commands": commands_section(findings.commands),
    }
    names = {name: name.lower().replace(" ", "-") for name in sections}
    links = "".join(f'<a href="#{identity}">{name}</a>' for name, identity in names.items())
    body = "\n".join(
        f'<section id="{names[name]}"><h2>{name}</h2>\n{content}</section>' for name, content in sections.items()
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Flamboyance: report of the demo</title>
<style>{CSS}</style>
{STYLE}
</head>
<body>
<h1>From a scraped site to a Flamingo that names what it sees</h1>
{opening(findings)}
<nav>{links}</nav>
{body}
</body>
</html>
"""


def opening(findings: Findings) -> str:
    figures = {name: f"{number:,.0f}" for name, number in findings.summary.items()}
    return (
        "<p>A site of handwritten digits was scraped into {documents} documents with {images} images, beside {pairs} "
        "image-text pairs and {videos} videos. On these, the adapters between a frozen vision encoder and a frozen "
        "language model were trained for {updates} updates. The test digits were in none of them.</p>"
    ).format_map(figures)


def captions_section(findings: Findings) -> str:
    return (
        "<p>Captions that the trained model wrote for digits that it never saw. A caption is right if the first digit "
        "that it names is the one in the picture that it was shown. With a blank picture it has nothing to go by.</p>"
        + answers_html(findings.answers)
    )


def pages_section(web: Dataset, findings: Findings) -> str:
    """Scraped pages beside the documents made from them."""
    documents = islice((document for document in web.documents() if len(document.media) >= FEWEST_IMAGES), PAGES)
    return (
        f"<p>The first {PAGES} pages with {FEWEST_IMAGES} pictures or more: each as a reader without scripts "
        "sees it, and then the document made from it, which is what was kept, in the order of the page.</p>"
    ) + "\n".join(beside(document, findings) for document in documents)


def beside(document: Document, findings: Findings) -> str:
    page = page_html(findings.site, findings.base_url, document.source)
    return (
        '<div class="beside">'
        f'<div><p class="label">Page</p><iframe sandbox="" title="The page" srcdoc="{escape(page)}"></iframe></div>'
        f'<div><p class="label">Document</p><div class="pane" tabindex="0">{document_html(document)}</div></div></div>'
    )


def pairs_and_videos(pairs: Dataset, videos: Dataset) -> str:
    return (
        "<p>Pairs and videos are documents too: an image, or frames at one a second, and then a text.</p>"
        f'<div class="row">{first_documents(pairs, PAIRS)}</div>\n'
        f'<div class="stack">{first_documents(videos, VIDEOS)}</div>'
    )


def first_documents(dataset: Dataset, count: int) -> str:
    return "\n".join(document_html(document) for document in islice(dataset.documents(), count))


def funnels(datasets: Sequence[Dataset]) -> str:
    """What each job saw, kept and dropped, as its manifest counts it."""
    parts = "\n".join(
        f"<div><h3>{escape(dataset.manifest.job)}</h3>{funnel_html(dataset.manifest)}{notes(dataset)}</div>"
        for dataset in datasets
    )
    return (
        "<p>What each job saw and kept, and what it dropped, by reason. Nothing is dropped uncounted.</p>"
        f'<div class="funnels">{parts}</div>'
    )


def notes(dataset: Dataset) -> str:
    dropped = "" if dataset.manifest.drops else "<p>Nothing was dropped.</p>"
    return dropped + "".join(f"<p>{escape(note)}</p>" for note in dataset.manifest.notes)


def training_section(log: Path) -> str:
    """A chart of each dataset's loss, and one of the gates."""
    records = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    charts = "\n".join([*loss_charts(records), gate_chart(records)])
    return (
        "<p>Loss in nats a token, a chart for each dataset: faint each update, bold the mean of the last "
        f"{SMOOTHING}. Gates begin at 0, where the model is the frozen language model; tanh of each, drawn here, is "
        "the share of its block's output that reaches it.</p>"
        f'<div class="charts">{charts}</div>'
    )


def loss_charts(records: Sequence[dict[str, Any]]) -> Iterator[str]:
    updates = [record["update"] for record in records]
    for name in records[0]["loss"]:
        losses = [record["loss"][name] for record in records]
        means = running_mean(losses, SMOOTHING)
        caption = f"<b>{escape(name)}</b> from {losses[0]:.2f} to {means[-1]:.2f}"
        chart = line_chart(f"Loss of {name}", updates, [("each", losses), ("mean", means)])
        yield f"<figure><figcaption>{caption}</figcaption>{chart}</figure>"


def gate_chart(records: Sequence[dict[str, Any]]) -> str:
    """Attention gates as lines, feed-forward gates as dashes; nothing if the log has no gates."""
    gates = records[0].get("gates", {})
    curves = [
        ("feed-forward" if "feed_forward" in name else "attention", [record["gates"][name] for record in records])
        for name in gates
    ]
    if not curves:
        return ""
    chart = line_chart("Gates", [record["update"] for record in records], curves)
    return f"<figure><figcaption><b>gates</b> attention solid, feed-forward dashed</figcaption>{chart}</figure>"


def commands_section(commands: Sequence[str]) -> str:
    lines = "".join(f"<pre>{escape(command)}</pre>" for command in commands)
    return f"<p>What was run, in this order.</p>{lines}"
