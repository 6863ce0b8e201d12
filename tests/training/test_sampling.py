"""Documents to samples, against examples worked out by hand."""

from itertools import count
from unittest.mock import Mock

import numpy as np
import pytest
from squares import document, film, image, make_tokenizer, page, pair, video

from model.language import add_tokens
from shards.document import Document, Text
from shards.errors import DatasetError
from training.sampling import (
    Chance,
    Sample,
    SamplingRule,
    Vocabulary,
    attended_media,
    choose_frames,
    choose_window,
    lay_out,
    make_sample,
    vocabulary_of,
)


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    tokenizer = make_tokenizer()
    add_tokens(tokenizer)
    return vocabulary_of(tokenizer)


def rule(kind, **changes) -> SamplingRule:
    settings = {"max_text": 256, "max_images": 5, "max_frames": 8, "next_image_chance": 0.0, **changes}
    return SamplingRule(kind=kind, **settings)


def sample_of(document: Document, rule: SamplingRule, vocabulary: Vocabulary, epoch: int = 0) -> Sample:
    return make_sample(document, rule, vocabulary, Chance(seed=0, key=document.key, epoch=epoch))


def words(vocabulary: Vocabulary, ids) -> str:
    return " ".join(vocabulary.tokenizer.convert_ids_to_tokens([int(i) for i in ids]))


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
    assert sample.labels.tolist() == [
        -100 if token == vocabulary.image else token for token in sample.input_ids.tolist()
    ]
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
    assert sample.labels.tolist() == [0, -100, *sample.input_ids[2:].tolist()]


def test_a_long_caption_is_cut_without_an_end_of_chunk(vocabulary):
    sample = sample_of(pair(1), rule("pair", max_text=4), vocabulary)
    assert words(vocabulary, sample.input_ids) == "<s> <image> a green"


def test_a_leading_space_comes_half_of_the_time(vocabulary):
    tokenizer = Mock(return_value={"input_ids": []}, bos_token_id=None, eos_token_id=None)
    spying = Vocabulary(tokenizer=tokenizer, image=vocabulary.image, end_of_chunk=vocabulary.end_of_chunk)
    for epoch in range(400):
        sample_of(pair(1), rule("pair"), spying, epoch)
    texts = [call.args[0] for call in tokenizer.call_args_list]
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
