import math
from random import Random

import pytest
import torch
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer
from transformers.image_processing_base import ImageProcessingMixin

from demo.digits import draw, encode, split_digits
from demo.language import LanguageConfig, train_language
from demo.sentences import PAIR_CAPTIONS, say
from demo.vision import VisionConfig, contrastive_loss, train_vision
from shards.chunk import write_chunk
from shards.document import Document, Frame, Media, Text, document_key
from shards.errors import DatasetError
from shards.location import locate
from shards.manifest import merge, write_manifest

TINY_LANGUAGE = LanguageConfig(width=16, layers=1, heads=2, context=16, updates=2, batch_size=2, warmup_updates=1)


def write_dataset(folder, documents) -> str:
    location = locate(str(folder))
    write_manifest(location, merge("test", {}, [write_chunk(location, "all", lambda tally: documents)]))
    return str(folder)


def pair(digit, caption) -> Document:
    frame = Frame(data=encode(draw(digit), "png"), format="png", width=96, height=96)
    blocks = (Media(kind="image", frames=(frame,)), Text(text=caption, caption=True))
    return Document(key=document_key(str(digit.row)), source="test", blocks=blocks)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> str:
    random = Random(0)
    digits = split_digits()[0][:600]
    documents = [pair(digit, say(random.choice(PAIR_CAPTIONS), digit)) for digit in digits]
    return write_dataset(tmp_path_factory.mktemp("pairs"), documents)


def test_vision_encoder_reads_held_out_digits_after_a_short_run(pairs, tmp_path):
    config = VisionConfig(widths=(16, 32, 64), updates=80, batch_size=64, warmup_updates=20)
    figures = train_vision(pairs, tmp_path, config)
    assert figures["accuracy"] > 0.6
    assert figures["pairs"] == 600
    encoder = AutoModel.from_pretrained(tmp_path).eval()
    assert encoder(torch.zeros(1, 3, 32, 32)).last_hidden_state.shape == (1, 64, 2, 2)
    settings, _ = ImageProcessingMixin.get_image_processor_dict(str(tmp_path))
    assert settings["size"] == {"height": 32, "width": 32}
    assert settings["image_mean"] == settings["image_std"] == [0.5, 0.5, 0.5]


def test_vision_training_is_repeatable(pairs, tmp_path):
    config = VisionConfig(widths=(8, 16), updates=2, batch_size=8, warmup_updates=1)
    for name in ("first", "second"):
        torch.rand(7)  # what ran before has no say
        train_vision(pairs, tmp_path / name, config)
    first, second = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("first", "second"))
    assert first == second


def test_language_model_is_a_folder_that_transformers_loads(pairs, tmp_path):
    figures = train_language([pairs], tmp_path, TINY_LANGUAGE)
    assert figures["documents"] == 600
    assert math.isfinite(figures["perplexity"])
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert model.config.vocab_size == len(tokenizer) == figures["vocabulary"]
    sentence = "A bold seven, written by hand."
    ids = tokenizer(sentence)["input_ids"]
    assert tokenizer.unk_token_id not in ids
    assert tokenizer.decode(ids) == sentence
    assert tokenizer.convert_ids_to_tokens([tokenizer.bos_token_id, tokenizer.eos_token_id]) == ["<BOS>", "<EOS>"]
    assert model.config.pad_token_id == tokenizer.pad_token_id


def test_language_training_is_repeatable(pairs, tmp_path):
    first, second = (train_language([pairs], tmp_path / name, TINY_LANGUAGE)["perplexity"] for name in "ab")
    assert first == second


def test_untrained_language_model_is_as_good_as_guessing(pairs, tmp_path):
    config = LanguageConfig(width=16, layers=1, heads=2, context=16, updates=1, batch_size=1, learning_rate=1e-9)
    figures = train_language([pairs], tmp_path, config)
    assert figures["perplexity"] == pytest.approx(figures["vocabulary"], rel=0.05)


def test_contrastive_loss_by_hand():
    captions = torch.tensor([[1, 2], [1, 2], [3, 0]])
    similarities = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 2.0]])
    # Rows 1 and 2: half the probability to each of two equal logits; row 3: all of it to the third.
    shared = math.log(2 * math.e + 1) - 1
    alone = math.log(2 + math.exp(2)) - 2
    assert contrastive_loss(similarities, captions).item() == pytest.approx((2 * shared + alone) / 3)


def test_loss_has_a_text_to_image_term():
    captions = torch.tensor([[1], [2]])
    similarities = torch.tensor([[2.0, 0.0], [2.0, 0.0]])
    image_to_text = (2 * math.log(math.exp(2) + 1) - 2) / 2
    text_to_image = math.log(2)
    expected = (image_to_text + text_to_image) / 2
    assert contrastive_loss(similarities, captions).item() == pytest.approx(expected)


def test_datasets_without_pairs_or_text_are_refused(tmp_path):
    empty = write_dataset(tmp_path / "empty", [])
    with pytest.raises(DatasetError, match="holds no image with a text"):
        train_vision(empty, tmp_path / "vision", VisionConfig())
    with pytest.raises(DatasetError, match="hold 0 documents with text; more than 20 are needed"):
        train_language([empty], tmp_path / "language", TINY_LANGUAGE)


@pytest.mark.parametrize(
    ("config", "values", "sentence"),
    [
        (VisionConfig, {"image_size": 33}, "image_size is 33; with 3 widths it must be a multiple of 16"),
        (VisionConfig, {"updates": 0}, "updates is 0; it must be more than 0"),
        (LanguageConfig, {"width": 100, "heads": 3}, "width is 100; it must be a multiple of twice the 3 heads"),
        (LanguageConfig, {"learning_rate": -1.0}, "learning_rate is -1.0; it must be more than 0"),
    ],
)
def test_configs_refuse_what_cannot_work(config, values, sentence):
    with pytest.raises(ValueError, match=sentence):
        config(**values)
