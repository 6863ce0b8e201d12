"""Documents to samples, against examples worked out by hand."""

import copy
import dataclasses
from itertools import count
from unittest.mock import Mock

import numpy as np
import pytest
from squares import document, film, image, make_tokenizer, page, pair, video
from tokenizers import Tokenizer

from model.language import add_tokens
from shards.document import Document, Text
from shards.errors import DatasetError
from training.data.chance import Chance
from training.data.sampling import (
    Sample,
    SamplingRule,
    attended_media,
    choose_frames,
    choose_window,
    lay_out,
    make_sample,
    trained_tokens,
)
from training.data.vocabulary import Vocabulary, vocabulary_of


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    tokenizer = make_tokenizer()
    add_tokens(tokenizer)
    return vocabulary_of(tokenizer)


def rule(kind, **changes) -> SamplingRule:
    settings = {
        "max_text": 256,
        "max_images": 5,
        "max_frames": 8,
        "next_image_chance": 0.0,
        "loss_mask": "paper",
        "leading_space_chance": 0.5,
        "flip_chance": 0.5,
        "colour_jitter": 0.2,
        **changes,
    }
    return SamplingRule(kind=kind, **settings)


def sample_of(document: Document, rule: SamplingRule, vocabulary: Vocabulary, epoch: int = 0) -> Sample:
    return make_sample(document, rule, vocabulary, Chance(seed=0, key=document.key, epoch=epoch))


def backend(vocabulary: Vocabulary) -> Tokenizer:
    assert isinstance(vocabulary.tokenizer, Tokenizer)
    return vocabulary.tokenizer


def words(vocabulary: Vocabulary, ids) -> str:
    return " ".join(str(backend(vocabulary).id_to_token(int(i))) for i in ids)


PAGE = document(1, Text(text="a square"), image("red"), Text(text="red"), image("blue"), Text(text="blue here"))
PAGE_WORDS = "<s> a square <EOC> <image> red <EOC> <image> blue here <EOC> </s>"


def test_a_page_has_end_of_chunk_before_each_image_and_the_end(vocabulary):
    assert words(vocabulary, lay_out(PAGE.blocks, vocabulary)) == PAGE_WORDS


def test_a_page_that_begins_with_an_image_has_no_empty_chunk(vocabulary):
    assert words(vocabulary, lay_out(page(0).blocks[:1], vocabulary)) == "<s> <image> <EOC> </s>"


def test_neighbouring_texts_are_paragraphs_of_one_chunk(vocabulary):
    blocks = (image("red"), Text(text="red"), Text(text="square"))
    assert words(vocabulary, lay_out(blocks, vocabulary)) == "<s> <image> red square <EOC> </s>"


def test_a_written_image_token_is_no_image(vocabulary):
    ids = lay_out((image("red"), Text(text="a <image> is <EOC> here")), vocabulary)
    assert words(vocabulary, ids) == "<s> <image> a is here <EOC> </s>"


@pytest.mark.parametrize(
    ("next_image_chance", "media_index"),
    [
        #     <s>  a  sq EOC img red EOC img blue here EOC </s>
        (0.0, [-1, -1, -1, -1, 0, 0, 0, 1, 1, 1, 1, 1]),
        (1.0, [0, 0, 0, 0, 0, 1, 1, 1, -1, -1, -1, -1]),
    ],
)
def test_text_attends_to_the_image_before_or_after_it(vocabulary, next_image_chance, media_index):
    sample = sample_of(PAGE, rule("interleaved", next_image_chance=next_image_chance), vocabulary)

    assert words(vocabulary, sample.input_ids) == PAGE_WORDS
    assert sample.media_index.tolist() == media_index
    assert sample.trained.tolist() == [False, *(token != vocabulary.image for token in sample.input_ids[1:].tolist())]
    assert sample.attends_next == (next_image_chance == 1.0)
    assert sample.media == tuple(medium.frames for medium in PAGE.media)


def test_both_placements_come_half_of_the_time(vocabulary):
    placements = [
        sample_of(PAGE, rule("interleaved", next_image_chance=0.5), vocabulary, epoch).media_index[0] == 0
        for epoch in range(400)
    ]
    assert 150 < sum(placements) < 250


WINDOWS_OF_4 = {
    "a square <EOC> <image>": [0],
    "square <EOC> <image> red": [0],
    "<EOC> <image> red <EOC>": [0],
    "<image> red <EOC> <image>": [0, 1],
    "red <EOC> <image> blue": [1],
    "<EOC> <image> blue here": [1],
    "<image> blue here <EOC>": [1],
}


def test_a_window_takes_its_own_images(vocabulary):
    samples = [sample_of(PAGE, rule("interleaved", max_text=4), vocabulary, epoch) for epoch in range(100)]

    assert {words(vocabulary, sample.input_ids) for sample in samples} == set(WINDOWS_OF_4)
    for sample in samples:
        expected = WINDOWS_OF_4[words(vocabulary, sample.input_ids)]
        assert sample.media == tuple(PAGE.media[number].frames for number in expected)
        assert sample.media_index.max() == len(expected) - 1


def test_a_window_ends_before_the_first_image_too_many(vocabulary):
    sample = sample_of(PAGE, rule("interleaved", max_images=1), vocabulary)

    assert words(vocabulary, sample.input_ids) == "<s> a square <EOC> <image> red <EOC>"
    assert sample.media == (PAGE.media[0].frames,)


def test_windows_start_wherever_they_hold_an_image():
    is_image = np.array([0, 0, 0, 1, 0, 0, 0, 0], dtype=bool)
    starts = {choose_window(is_image, 3, uniform / 100) for uniform in range(100)}
    assert starts == {1, 2, 3}


def test_a_page_without_images_may_start_anywhere():
    starts = {choose_window(np.zeros(5, dtype=bool), 3, uniform / 100) for uniform in range(100)}
    assert starts == {0, 1, 2}


def test_attended_media_of_nothing():
    assert attended_media(np.zeros(3, dtype=bool), False).tolist() == [-1, -1, -1]
    assert attended_media(np.zeros(3, dtype=bool), True).tolist() == [-1, -1, -1]


def test_a_pair(vocabulary):
    sample = sample_of(pair(1), rule("pair"), vocabulary)

    assert words(vocabulary, sample.input_ids) == "<s> <image> a green square <EOC> </s>"
    assert sample.media_index.tolist() == [-1, 0, 0, 0, 0, 0, 0]
    assert sample.trained.tolist() == [False, False, True, True, True, True, True]


def test_a_long_caption_is_cut_without_an_end_of_chunk(vocabulary):
    sample = sample_of(pair(1), rule("pair", max_text=4), vocabulary)
    assert words(vocabulary, sample.input_ids) == "<s> <image> a green"


def test_a_leading_space_comes_half_of_the_time(vocabulary):
    tokenizer = Mock()
    tokenizer.encode.return_value = []
    spying = dataclasses.replace(vocabulary, tokenizer=tokenizer)
    for epoch in range(400):
        sample_of(pair(1), rule("pair"), spying, epoch)
    texts = [call.args[0] for call in tokenizer.encode.call_args_list]
    assert set(texts) == {"a green square", " a green square"}
    assert 150 < sum(text.startswith(" ") for text in texts) < 250


def test_a_video_gives_eight_consecutive_frames(vocabulary):
    frames = film(0).media[0].frames
    assert len(frames) == 10

    starts = set()
    for epoch in range(40):
        (chosen,) = sample_of(film(0), rule("video"), vocabulary, epoch).media
        start = next(i for i in count() if frames[i : i + 8] == chosen)
        starts.add(start)
    assert starts <= {0, 1, 2}


def test_a_short_video_gives_all_its_frames():
    short = video("red", "blue", "green")
    assert choose_frames(short, 8, 0.9) == short.frames


@pytest.mark.parametrize(("kind", "wrong"), [("pair", page(0)), ("pair", film(0)), ("video", pair(0))])
def test_a_document_of_another_kind_is_refused(vocabulary, kind, wrong):
    with pytest.raises(DatasetError, match=f"a dataset of kind '{kind}' needs documents with exactly 1"):
        sample_of(wrong, rule(kind), vocabulary)


def test_choices_follow_from_seed_key_and_epoch():
    chance = Chance(seed=1, key="a", epoch=2)
    assert chance.uniform("window") == Chance(seed=1, key="a", epoch=2).uniform("window")
    others = [Chance(seed=2, key="a", epoch=2), Chance(seed=1, key="b", epoch=2), Chance(seed=1, key="a", epoch=3)]
    values = {chance.uniform("window"), chance.uniform("frames"), *(other.uniform("window") for other in others)}
    assert len(values) == 5
    assert all(0 <= value < 1 for value in values)


MASKED_PAGE = "<s> a square <EOC> <image> red . <EOC> here <image> blue <EOC> </s>"


@pytest.mark.parametrize(
    ("kind", "loss_mask", "trained"),
    [
        #                                <s> a sq EOC img red . EOC here img blue EOC </s>
        ("interleaved", "paper", [0, 1, 1, 1, 0, 1, 1, 1, 1, 0, 1, 1, 1]),
        ("interleaved", "openflamingo", [0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 1, 1, 0]),
        ("pair", "openflamingo", [0, 1, 1, 1, 0, 1, 1, 1, 1, 0, 1, 1, 1]),
    ],
)
def test_loss_masks(vocabulary, kind, loss_mask, trained):
    # The second row is what open_flamingo 2.0.1's train_one_epoch leaves of these labels, worked out by hand.
    ids = np.array([backend(vocabulary).token_to_id(word) for word in MASKED_PAGE.split()])

    assert trained_tokens(ids, vocabulary, rule(kind, loss_mask=loss_mask)).tolist() == [bool(one) for one in trained]


def test_a_page_without_images_is_not_trained_on_by_openflamingos_mask(vocabulary):
    ids = np.array([0, 8, 9, vocabulary.end_of_chunk])
    assert not trained_tokens(ids, vocabulary, rule("interleaved", loss_mask="openflamingo")).any()


def test_only_pairs_change_their_pictures(vocabulary):
    changed = [sample_of(pair(1), rule("pair"), vocabulary, epoch).appearance for epoch in range(400)]

    assert 150 < sum(one.mirrored for one in changed) < 250
    for factor in ("brightness", "contrast", "saturation"):
        drawn = [getattr(one, factor) for one in changed]
        assert 0.8 <= min(drawn) < 0.82
        assert 1.18 < max(drawn) <= 1.2
    for kind, other in (("interleaved", page(0)), ("video", film(0))):
        unchanged = sample_of(other, rule(kind, flip_chance=1.0), vocabulary).appearance
        assert not unchanged.mirrored
        assert unchanged.brightness == unchanged.contrast == unchanged.saturation == 1.0


def test_a_vocabulary_travels_and_encodes_as_its_tokenizer(vocabulary):
    tokenizer = make_tokenizer()
    add_tokens(tokenizer)
    travelled = copy.deepcopy(vocabulary)  # by way of what is pickled

    for text in ("", "a red square", "  here is <image> and <EOC> unknown . "):
        expected = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert travelled.encode(text) == [i for i in expected if i not in (travelled.image, travelled.end_of_chunk)]
    assert (travelled.beginning, travelled.end) == ((0,), (1,))
