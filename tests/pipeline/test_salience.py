"""The content model's arithmetic, against values worked out another way."""

import itertools
import json

import numpy as np
import pytest
import torch

from pipeline.features import prefix, text_features, window_sums
from pipeline.markup import parse
from pipeline.salience import WEIGHTS, Network, best_choice, content_of, image_features, networks
from pipeline.segments import cut


@pytest.mark.parametrize("seed", range(20))
def test_the_best_choice_is_the_best_of_all_choices(seed):
    random = np.random.default_rng(seed)
    chances = random.random(7, np.float32)
    words = random.integers(1, 50, 7).astype(np.float32)

    def expected_f1(chosen: np.ndarray) -> float:
        wanted = float((chances * words).sum())
        return 2 * float((chances * words)[chosen].sum()) / (float(words[chosen].sum()) + wanted)

    choices = [np.array(choice, bool) for choice in itertools.product((False, True), repeat=7)]
    assert expected_f1(best_choice(chances, words)) == pytest.approx(max(map(expected_f1, choices)), rel=1e-5)


def test_a_network_computes_what_torch_does():
    torch.manual_seed(0)
    layers = [torch.nn.Linear(5, 4), torch.nn.Linear(4, 3), torch.nn.Linear(3, 1)]
    weights = tuple((layer.weight.T.detach().numpy(), layer.bias.detach().numpy()) for layer in layers)
    rows = torch.randn(6, 5)
    expected = torch.sigmoid(layers[2](torch.relu(layers[1](torch.relu(layers[0](rows))))))[:, 0]
    np.testing.assert_allclose(Network(layers=weights).chances(rows.numpy()), expected.detach().numpy(), rtol=1e-5)


def test_the_weights_fit_the_features():
    html = b"<body><h1>Title</h1><p>Some text.</p><img src=i.png></body>"
    segments = cut(parse(html.decode()))
    features = text_features(segments, html, "http://x.org/")
    assert features.shape == (3, len(networks()["text"].layers[0][0]))
    pictures = image_features(segments, np.full(3, 0.5, np.float32), np.array([1, 2, 0], np.float32))
    assert pictures.shape == (3, len(networks()["image"].layers[0][0]))
    assert np.isfinite(features).all()
    assert set(json.loads(WEIGHTS.read_text())) == {"text", "image"}


def test_a_page_of_one_segment_keeps_it():
    segments = cut(parse("<body>Alone.</body>"))
    assert content_of(segments, b"<body>Alone.</body>", "").tolist() == [True]


def test_windows_are_cut_at_the_ends():
    values = np.arange(5, dtype=np.float32)[:, None]
    rows, sums = window_sums(values, 1)
    assert rows[:, 0].tolist() == [2, 3, 3, 3, 2]
    assert sums[:, 0].tolist() == [1, 3, 6, 9, 7]
    assert prefix(values)[:, 0].tolist() == [0, 0, 1, 3, 6, 10]
