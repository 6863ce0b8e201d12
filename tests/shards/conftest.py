"""Datasets that the tests of shards make."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shards.chunk import write_chunk
from shards.dataset import Dataset, open_dataset
from shards.document import Document
from shards.location import locate
from shards.manifest import merge, read_commits, write_manifest


@pytest.fixture
def make_dataset(tmp_path: Path) -> Callable[..., Dataset]:
    """A function that writes chunks of documents, a list each, as the dataset in `tmp_path / "set"`."""

    def make(*chunks: list[Document], folder: str = "set", **sizes: Any) -> Dataset:
        location = locate(str(tmp_path / folder))
        for number, documents in enumerate(chunks):
            write_chunk(location, f"{number:06d}", lambda _, run=documents: run, **sizes)
        write_manifest(location, merge("test", {}, read_commits(location)))
        return open_dataset(str(tmp_path / folder))

    return make
