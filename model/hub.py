"""Backbones on the Hugging Face hub: which commit a name stands for."""

from pathlib import Path

from huggingface_hub import hf_hub_download

MAIN = "main"


def commit(source: str, revision: str) -> str:
    """The commit that a branch, tag or commit of the hub id `source` stands for now, empty being its main branch.

    Whatever moves there afterwards, all files of a backbone are then of one commit, and adapters can name it. A local
    folder has none, which is empty; what cannot be found stays as it is, and is told when it is loaded.
    """
    if Path(source).is_dir():
        return ""
    try:
        return Path(hf_hub_download(source, "config.json", revision=revision or MAIN)).parent.name
    except (OSError, ValueError):
        return revision
