"""A picture that kills whatever decodes it, put to models: it alone is left without scores, and the stage goes on."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil

from pipeline.scoring.scores import read_scores
from shards.document import Document, Frame, Media, document_key
from shards.location import locate
from shards.shard import write_shard

ROOT = Path(__file__).parents[2]
DEADLINE = 400
"""Seconds in which the stage ends, or hangs."""
HOOK = """
import ctypes
import PIL.Image

opened = PIL.Image.open

def open_or_die(file, *arguments, **options):
    if hasattr(file, "getvalue") and b"POISON" in file.getvalue():
        ctypes.string_at(0)
    return opened(file, *arguments, **options)

PIL.Image.open = open_or_die
"""
"""Run by Python at its start in all processes: stands for a decoder with a fault."""
PROGRAM = """
import json, pathlib, sys
import ray
from pipeline.scoring.config import ClassifierConfig, ScoringConfig
from pipeline.scoring.scores import ShardToScore
from pipeline.scoring.stage import score_shards
from shards.location import locate

folder, model = sys.argv[1:]
ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
shards = [ShardToScore(id=name, tar=locate(f"{folder}/{name}.tar"), sha256="") for name in ("one", "two")]
config = ScoringConfig(classifiers=[ClassifierConfig(model=model, measures={"nsfw": ["porn"]})])
pathlib.Path(folder, "counts.json").write_text(json.dumps(score_shards(locate(folder), shards, config)))
"""


def document(number: int, poison: bytes = b"") -> Document:
    buffer = io.BytesIO()
    Image.linear_gradient("L").save(buffer, "PNG")
    frame = Frame(data=buffer.getvalue() + poison, format="png", width=256, height=256)
    blocks = (Media(kind="image", frames=(frame,)),)
    return Document(key=document_key(str(number)), source=str(number), blocks=blocks)


@pytest.fixture
def model(tmp_path) -> Path:
    tower = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    labels = {"id2label": {0: "neutral", 1: "porn"}, "label2id": {"neutral": 0, "porn": 1}}
    config = ViTConfig.from_dict(tower | labels | {"image_size": 16, "patch_size": 8})
    ViTForImageClassification(config).save_pretrained(tmp_path / "model")
    ViTImageProcessorPil(size={"height": 16, "width": 16}).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.slow
def test_a_picture_that_kills_its_decoder_is_unscored(model, tmp_path):
    (tmp_path / "hooks").mkdir()
    (tmp_path / "hooks" / "sitecustomize.py").write_text(HOOK)
    write_shard(locate(str(tmp_path)), "one", [document(0), document(1, b"POISON"), document(2)])
    write_shard(locate(str(tmp_path)), "two", [document(3)])
    job = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), str(model)],
        env=os.environ | {"PYTHONPATH": f"{tmp_path / 'hooks'}{os.pathsep}{ROOT}"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert job.returncode == 0, job.stdout + job.stderr
    assert json.loads((tmp_path / "counts.json").read_text()) == {
        "images": 3,
        "unscored": 1,
        "texts": 0,
        "texts_cut": 0,
    }
    scores = read_scores(locate(str(tmp_path / "scores" / "one.parquet")))
    assert [sorted(scores.of(document_key(str(number))).of_image(0, [])) for number in range(3)] == [
        ["nsfw", "unscored"],
        ["unscored"],
        ["nsfw", "unscored"],
    ]
    assert not list((tmp_path / "attempts").iterdir())
