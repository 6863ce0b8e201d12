"""The content model's arithmetic, against values worked out another way."""

import itertools
import json
import math

import numpy as np
import pytest
import torch

from pipeline.extraction.containers import Containers, containers_of
from pipeline.extraction.features import PLACE_COLUMNS, prefix, text_features, window_sums
from pipeline.extraction.image_features import image_features
from pipeline.extraction.markup import parse
from pipeline.extraction.salience import (
    MOST_BETWEEN,
    MOST_PRODUCTS,
    SURE,
    WEIGHTS,
    Network,
    best_choice,
    chances,
    content_of,
    networks,
    product,
    whole_tables,
)
from pipeline.extraction.segments import Segments, cut

HTML = "<body><h1>Title</h1><p>Some text.</p><img src=i.png width=640><nav>a</nav><img src=logo.png></body>"


def read(html: str) -> tuple[Segments, Containers]:
    segments, _ = cut(html, parse(html))
    return segments, containers_of(segments)


def constant(logit: float, inputs: int = 1) -> Network:
    """A network whose logit is the same for every row."""
    return Network(layers=((np.zeros((inputs, 1), np.float32), np.array([logit], np.float32)),))


@pytest.mark.parametrize("seed", range(20))
def test_the_best_choice_is_the_best_of_all_choices_where_nothing_is_sure(seed):
    random = np.random.default_rng(seed)
    likely = SURE * random.random(7, np.float32)
    words = random.integers(1, 50, 7).astype(np.float32)

    def expected_f1(chosen: np.ndarray) -> float:
        wanted = float((likely * words).sum())
        return 2 * float((likely * words)[chosen].sum()) / (float(words[chosen].sum()) + wanted)

    choices = [np.array(choice, bool) for choice in itertools.product((False, True), repeat=7)]
    assert expected_f1(best_choice(likely, words)) == pytest.approx(max(map(expected_f1, choices)), rel=1e-5)


def test_a_list_as_likely_as_not_stays_out_where_the_rest_is_sure():
    """By hand: 294 of 319 expected words are sure, and Jansche's threshold is 0.477, so that this one is 0.544."""
    words = np.array([300, *[10] * 5], np.float32)
    beside_sure, just_above, beside_doubt = (
        np.array([first, *[second] * 5], np.float32) for first, second in ((0.98, 0.5), (0.98, 0.56), (0.89, 0.5))
    )
    assert best_choice(beside_sure, words).tolist() == [True] + 5 * [False]
    assert best_choice(beside_sure[::-1], words[::-1]).tolist() == 5 * [False] + [True]
    assert best_choice(just_above, words).all()
    assert best_choice(beside_doubt, words).all()


@pytest.mark.parametrize(("lines", "kept"), [(MOST_BETWEEN, True), (MOST_BETWEEN + 1, False)])
def test_a_few_lines_as_likely_as_not_between_sure_texts_belong_to_them(lines, kept):
    likely = np.array([0.98, *[0.5] * lines, 0.98, *[0.5] * 3], np.float32)
    words = np.array([900, *[5] * lines, 900, *[5] * 3], np.float32)
    assert best_choice(likely, words).tolist() == [True, *[kept] * lines, True, *[False] * 3]


def test_a_picture_is_no_text_between_which_lines_stay():
    likely = np.array([0.98, 0.5, 0.5, 0.98], np.float32)
    assert best_choice(likely, np.array([900, 5, 5, 0], np.float32)).tolist() == [True, False, False, True]


ROWS = "<tr><td>one</td><td>two</td></tr>" * 3
TABLE = f"<p>Before.</p><table>{ROWS}</table><p>Behind.</p>"


def evened(html: str, likely: list[float]) -> list[float]:
    segments, containers = read(f"<body>{html}</body>")
    assert len(segments) == len(likely)
    return whole_tables(containers, np.array(likely, np.float32), np.array(segments.words, np.float32)).tolist()


def test_cells_of_a_table_of_data_have_one_chance():
    """By hand: the mean of 0.2 twice and 0.5 four times, and 0.3 for words of which there are two for one."""
    assert evened(TABLE, [0.8, 0.2, 0.2, 0.5, 0.5, 0.5, 0.5, 0.95]) == pytest.approx([0.8, *[0.4] * 6, 0.95])
    longer = TABLE.replace("one", "one and")
    assert evened(longer, [0.8, *[0.6, 0.0] * 3, 0.8]) == pytest.approx([0.8, *[0.4] * 6, 0.8])


def test_a_table_of_data_between_sure_texts_is_sure():
    assert evened(TABLE, [0.95, *[0.2] * 6, 0.95]) == pytest.approx([0.95, *[SURE] * 6, 0.95])
    assert evened(TABLE, [0.95, *[0.97] * 6, 0.95]) == pytest.approx([0.95, *[0.97] * 6, 0.95])
    far = TABLE.replace("<p>Behind", "<p>x</p>" * MOST_BETWEEN + "<p>Behind")
    assert evened(far, [0.95, *[0.2] * 6, *[0.1] * MOST_BETWEEN, 0.95])[1] == pytest.approx(0.2)


def test_a_picture_makes_no_table_sure():
    assert evened(TABLE.replace("<p>Behind.</p>", "<img src=i.png>"), [0.95, *[0.2] * 6, 0.95])[1] == pytest.approx(0.2)


@pytest.mark.parametrize(
    "html",
    [
        TABLE.replace("one", "one and two more words and some others"),
        f"<table>{'<tr><td>one</td></tr>' * 5}</table>",
        f"<table><tr><td>one</td><td><table>{'<tr><td>two</td></tr>' * 5}</table></td></tr></table>",
        f"<div>{'<p>one</p>' * 6}</div>",
        "<table>" + "<tr><td><img src=i.png></td></tr>" * 6 + "</table>",
    ],
    ids=["of long texts", "small", "around a table", "none", "of pictures"],
)
def test_other_tables_keep_their_chances(html):
    likely = np.linspace(0.95, 0.05, len(read(html)[0]), dtype=np.float32).tolist()
    assert evened(html, likely) == likely


def test_the_best_choice_of_pictures_alone_is_defined():
    assert best_choice(np.array([0.2, 0.9], np.float32), np.zeros(2, np.float32)).dtype == np.bool_


def test_a_network_computes_what_torch_does():
    torch.manual_seed(0)
    layers = [torch.nn.Linear(5, 4), torch.nn.Linear(4, 3), torch.nn.Linear(3, 1)]
    weights = tuple((layer.weight.T.detach().numpy(), layer.bias.detach().numpy()) for layer in layers)
    rows = torch.randn(6, 5)
    expected = layers[2](torch.relu(layers[1](torch.relu(layers[0](rows)))))[:, 0].detach()
    network = Network(layers=weights)
    np.testing.assert_allclose(network.logits(rows.numpy()), expected.numpy(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(chances([network], rows.numpy()), torch.sigmoid(expected).numpy(), rtol=1e-5)


@pytest.mark.parametrize("rows", [0, 1, 13, 14, 15, 28, 100])
def test_a_product_in_pieces_is_the_product(rows):
    random = np.random.default_rng(rows)
    values, weights = random.integers(-9, 9, (rows, 400)), random.integers(-9, 9, (400, 46))
    assert MOST_PRODUCTS // weights.size == 14
    found = product(values.astype(np.float32), weights.astype(np.float32))
    assert found.dtype == np.float32
    assert found.tolist() == (values @ weights).tolist()


def test_features_that_all_rows_share_are_as_good_as_columns():
    torch.manual_seed(1)
    own, shared = torch.randn(6, 3).numpy(), torch.randn(2).numpy()
    network = Network(
        layers=(
            (torch.randn(5, 4).numpy(), torch.randn(4).numpy()),
            (torch.randn(4, 1).numpy(), np.zeros(1, np.float32)),
        )
    )
    rows = np.hstack([own, np.broadcast_to(shared, (6, 2))])
    np.testing.assert_allclose(network.logits(own, shared), network.logits(rows), rtol=1e-5, atol=1e-6)


def test_the_chances_of_an_ensemble_are_the_sigmoid_of_its_mean_logit():
    rows = np.zeros((3, 1), np.float32)
    found = chances([constant(1.0), constant(-3.0), constant(5.0)], rows)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [1 / (1 + math.exp(-1.0))] * 3, rtol=1e-6)


@pytest.mark.parametrize(("logit", "chance"), [(-1e4, 0), (-200, 0), (0, 0.5), (200, 1), (1e4, 1)])
def test_chances_of_any_logit_are_defined(logit, chance):
    assert chances([constant(logit)], np.zeros((1, 1), np.float32)) == pytest.approx([chance], abs=1e-30)


def test_the_weights_fit_the_features():
    segments, containers = read(HTML)
    models, count = networks(), len(segments)
    features, shared = text_features(segments, containers, "", "http://x.org/")
    assert (len(features), features.shape[1] + len(shared)) == (count, len(models["text"][0].layers[0][0]))
    assert features.dtype == shared.dtype == np.float32
    assert np.isfinite(shared).all()
    media = np.flatnonzero(np.asarray(segments.media))
    words = np.array(segments.words, np.float32)
    pictures = image_features(segments, containers, features, np.full(count, 0.5), words, media)
    assert (pictures.shape, pictures.dtype) == ((2, len(models["image"][0].layers[0][0])), np.float32)
    assert np.isfinite(features).all()
    assert np.isfinite(pictures).all()
    np.testing.assert_array_equal(pictures[:, :PLACE_COLUMNS], features[media, :PLACE_COLUMNS])
    for ensemble in models.values():
        assert all(network.layers[-1][0].shape[1] == 1 for network in ensemble)


def test_of_a_picture_is_told_what_its_tag_its_address_and_its_link_say():
    segments, containers = read(
        "<body><a href=big.JPG?v=1><img class=s src=a-300x90.gif?w=120 width=640 height=32 alt='Cat' loading=lazy></a>"
        "<a href=/next><img class=s src=/theme/b.svg srcset='b.png 320w,c.png 1280w' alt=''></a>"
        "<a href=/next><img src=3x.webp></a><a href='#top'><img src=xx200.png></a></body>"
    )
    media = np.flatnonzero(np.asarray(segments.media))
    features, _ = text_features(segments, containers, "", "http://x.org/")
    nothing = np.zeros(len(segments), np.float32)
    told = image_features(segments, containers, features, nothing, nothing, media)[:, -25:]
    alike, crowd = math.log1p(2) / 4, math.log1p(4) / 5  # two of a class, and two of none
    expected = [
        [1, 0, 1.28, 1, 0.064, 1, math.log1p(3) / 4, 0, 0, 1, 0, 0.18, 1, 0.12, 1, 0, 0.6, 0, 1, 1, alike, 1, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 1, 0, 0, 0, 0, 1.28, 0.4, 1, 0, 1, alike, 0, 1, 1],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.1, 0, 0, 0, alike, 0, 1, 1],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0.1, 0, 0, 0, alike, 0, 0, 0],
    ]
    np.testing.assert_allclose(told, [[*row, crowd] for row in expected], rtol=1e-6)


def test_the_weights_are_numbers_to_read():
    assert set(json.loads(WEIGHTS.read_text())) == set(networks()) == {"text", "image"}
    values = [values for ensemble in networks().values() for network in ensemble for values in network.layers]
    assert all(np.isfinite(weights).all() and np.isfinite(biases).all() for weights, biases in values)


def test_words_are_counted():
    page = "<p>one two<br>\n three</p><img><p>four</p><pre>\nfive  six\n\nseven\n</pre>"
    assert read(f"<body>{page}</body>")[0].words == [3, 0, 1, 3]


def test_a_page_of_one_segment_keeps_it():
    assert content_of(*read("<body>Alone.</body>"), "", "").tolist() == [True]


@pytest.mark.parametrize(("logit", "kept"), [(-5, False), (5, True)])
def test_pictures_are_kept_by_their_own_chance(logit, kept):
    segments, containers = read("<body><p>Some text.</p><img src=i.png><p>Other text.</p></body>")
    sizes = {name: len(ensemble[0].layers[0][0]) for name, ensemble in networks().items()}
    models = {"text": [constant(5, sizes["text"])], "image": [constant(logit, sizes["image"])]}
    assert content_of(segments, containers, "", "", models).tolist() == [True, kept, True]


def test_windows_are_cut_at_the_ends():
    values = np.arange(5, dtype=np.float32)[:, None]
    rows, sums = window_sums(values, 1)
    assert rows[:, 0].tolist() == [2, 3, 3, 3, 2]
    assert sums[:, 0].tolist() == [1, 3, 6, 9, 7]
    assert prefix(values)[:, 0].tolist() == [0, 0, 1, 3, 6, 10]
