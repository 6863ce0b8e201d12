"""Every notebook runs from top to bottom on a small dataset, and what a page said cannot act in its output."""

import ast
from html import escape
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

from demo.digits import draw, encode, split_digits
from shards.chunk import Tally, write_chunk
from shards.document import Document, Frame, Media, Text, document_key
from shards.location import locate
from shards.manifest import merge, write_manifest
from shards.show import data_uri

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
HOSTILE = '<script>alert("seven")</script>'
DIGIT = encode(draw(split_digits()[0][0]), "png")


def page() -> Document:
    image = Media(kind="image", frames=(Frame(data=DIGIT, format="png", width=96, height=96),), alt=HOSTILE)
    blocks = (Text(text=f"Before {HOSTILE}"), image, Text(text="A seven.", caption=True))
    return Document(key=document_key("page"), source="http://site.test/1.html", blocks=blocks, facts={"title": HOSTILE})


def film() -> Document:
    frames = tuple(Frame(data=DIGIT, format="png", width=96, height=96, seconds=second) for second in (0.0, 2.5))
    blocks = (Media(kind="video", frames=frames), Text(text="A film."))
    return Document(key=document_key("film"), source="/films/1.mp4", blocks=blocks)


def write_dataset(folder: Path, document: Document) -> str:
    def make_documents(tally: Tally) -> list[Document]:
        tally.drop("page_no_images", 3)
        return [document]

    commit = write_chunk(locate(str(folder)), "00000", make_documents)
    write_manifest(locate(str(folder)), merge("pipeline.web", {}, [commit]))
    return str(folder)


def outputs(notebook: NotebookNode, kind: str) -> str:
    """All that the notebook shows as `kind`, a MIME type."""
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output["data"].get(kind, "") for output in shown if "data" in output)


@pytest.fixture(scope="module")
def looked_at(tmp_path_factory) -> NotebookNode:
    """The notebook after a run on one hostile page and one film."""
    folder = tmp_path_factory.mktemp("datasets")
    notebook = nbformat.read(NOTEBOOKS / "01_look_at_documents.ipynb", as_version=4)
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(NOTEBOOKS)}})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATASET", write_dataset(folder / "pages", page()))
        patch.setenv("VIDEOS", write_dataset(folder / "films", film()))
        return client.execute()


def test_documents_are_shown_with_their_pictures_and_what_pages_said_is_escaped(looked_at):
    html = outputs(looked_at, "text/html")
    assert html.count(data_uri(DIGIT, "png")) == 5  # the page in order, by address and by word; the film's two frames
    assert f"Before {escape(HOSTILE)}" in html
    assert f'alt="{escape(HOSTILE)}"' in html
    assert HOSTILE not in html
    assert "2.5 s" in html


def test_the_funnel_and_the_index_are_shown(looked_at):
    html = outputs(looked_at, "text/html")
    assert "dropped: page_no_images" in html
    assert "http://site.test/1.html" in html
    assert "<th>words</th>" in html
    assert "1 of 1 addresses contain" in "".join(
        output.get("text", "") for cell in looked_at.cells for output in cell.get("outputs", [])
    )


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.name)
def test_a_notebook_is_committed_without_outputs_and_named_in_the_readme(path):
    notebook = nbformat.read(path, as_version=4)
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in notebook.cells)
    assert path.name in (NOTEBOOKS / "README.md").read_text()


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.name)
def test_a_notebook_needs_the_data_and_shards_alone(path):
    cells = nbformat.read(path, as_version=4).cells
    tree = ast.parse("\n".join(cell.source for cell in cells if cell.cell_type == "code"))
    modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    ours = {folder.parent.name for folder in NOTEBOOKS.parent.glob("*/__init__.py")}
    assert {module.partition(".")[0] for module in modules} & ours == {"shards"}
