"""Tiny random backbones, small datasets of coloured squares, and the config of a run over both."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from moto.server import ThreadedMotoServer
from pyarrow import fs
from squares import WORDS, film, make_tokenizer, page, pair, write_dataset
from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModel, LlamaConfig, LlamaForCausalLM

from model.flamingo import FlamingoConfig
from training.config import DatasetConfig, TrainingConfig


@pytest.fixture(scope="session")
def backbones(tmp_path_factory: pytest.TempPathFactory) -> FlamingoConfig:
    """A random CLIP vision tower and a random Llama in folders, and a small Flamingo's shape."""
    folder = tmp_path_factory.mktemp("backbones")
    torch.manual_seed(7)
    vision = CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=16, patch_size=8
    )
    CLIPVisionModel(vision).save_pretrained(folder / "vision")
    CLIPImageProcessorPil(size={"height": 16, "width": 16}, crop_size={"height": 16, "width": 16}).save_pretrained(
        folder / "vision"
    )
    language = LlamaConfig(
        vocab_size=len(WORDS), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2
    )
    LlamaForCausalLM(language).save_pretrained(folder / "language")
    make_tokenizer().save_pretrained(folder / "language")
    return FlamingoConfig(
        vision=str(folder / "vision"),
        language=str(folder / "language"),
        cross_attention_heads=2,
        cross_attention_head_width=16,
        resampler_layers=1,
        resampler_width=32,
        resampler_heads=2,
        resampler_head_width=16,
        latents=4,
    )


@pytest.fixture(scope="session")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> dict[str, DatasetConfig]:
    """Pages, pairs (packed into rows) and videos, with batches that two workers share evenly and unevenly."""
    folder = tmp_path_factory.mktemp("datasets")
    pages = write_dataset(folder / "pages", [page(number) for number in range(24)], chunks=2)
    pairs = write_dataset(folder / "pairs", [pair(number) for number in range(16)])
    films = write_dataset(folder / "films", [film(number) for number in range(8)])
    return {
        "pages": DatasetConfig(uri=pages, kind="interleaved", batch=4, max_text=24),
        "pairs": DatasetConfig(uri=pairs, kind="pair", weight=0.2, batch=5, max_text=12, row_tokens=24),
        "films": DatasetConfig(uri=films, kind="video", weight=0.03, batch=1, max_text=12),
    }


@pytest.fixture(scope="session")
def make_config(backbones: FlamingoConfig, mixture: dict[str, DatasetConfig]) -> Callable[..., TrainingConfig]:
    """A function from an output folder, and what differs, to the config of a small run."""

    def make(output: Path, **changes: object) -> TrainingConfig:
        settings = {
            "updates": 4,
            "learning_rate": 1e-2,
            "warmup": 2,
            "persistent_parameters": 0,
            "decoders": 1,
            "uneven": True,
            **changes,
        }
        return TrainingConfig(output=str(output), model=backbones, datasets=mixture, **settings)

    return make


@pytest.fixture
def bucket(monkeypatch) -> Iterator[fs.FileSystem]:
    """An S3 server with an empty bucket `runs`, which addresses of s3:// lead to while the test runs."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = {"ACCESS_KEY_ID": "nobody", "SECRET_ACCESS_KEY": "nothing", "REGION": "us-east-1"}
    for name, value in {**settings, "ENDPOINT_URL": f"http://{host}:{port}"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    store, name = fs.FileSystem.from_uri("s3://runs?allow_bucket_creation=true")
    store.create_dir(name)
    store.delete_dir_contents(name)  # what an earlier test left: moto keeps it as long as the process lives
    yield store
    server.stop()
