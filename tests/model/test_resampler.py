"""The resampler against the paper's pseudo-code (figure 5), written here in float64 numpy."""

import numpy as np
import pytest
import torch

from model.resampler import PerceiverResampler, ResamplerShape, interpolate_in_time

HEADS = 2


def make(features_width: int = 6, width: int = 6, time_embeddings: int = 4) -> PerceiverResampler:
    torch.manual_seed(0)
    shape = ResamplerShape(
        features_width=features_width,
        width=width,
        layers=2,
        heads=HEADS,
        head_width=5,
        latents=3,
        time_embeddings=time_embeddings,
    )
    resampler = PerceiverResampler(shape).double()
    with torch.no_grad():
        for parameter in resampler.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return resampler


def layer_norm(x, weight, bias):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * weight + bias


def attention(q, k, v):
    heads = []
    for q_h, k_h, v_h in zip(*(np.split(each, HEADS, axis=-1) for each in (q, k, v)), strict=True):
        scores = np.exp(q_h @ k_h.T / np.sqrt(q_h.shape[-1]))
        heads.append(scores / scores.sum(-1, keepdims=True) @ v_h)
    return np.concatenate(heads, axis=-1)


def paper_resampler(weights, x_f, layers=2):
    """x_f [T, S, d] of one medium to [R, d]."""
    time = weights["frames.time_embeddings"]
    assert len(x_f) <= len(time)
    x_f = (x_f + time[: len(x_f)]).reshape(-1, x_f.shape[-1])
    x = weights["latents"]
    for i in range(layers):
        w = {name.removeprefix(f"layers.{i}."): value for name, value in weights.items()}
        normed = layer_norm(x, w["norm_latents.weight"], w["norm_latents.bias"])
        normed_f = layer_norm(x_f, w["norm_features.weight"], w["norm_features.bias"])
        kv = np.concatenate([normed_f, normed]) @ w["to_keys_values.weight"].T
        k, v = np.split(kv, 2, axis=-1)
        x = x + attention(normed @ w["to_queries.weight"].T, k, v) @ w["to_out.weight"].T
        hidden = layer_norm(x, w["feed_forward.norm.weight"], w["feed_forward.norm.bias"])
        hidden = np.maximum(hidden @ w["feed_forward.expand.weight"].T, 0) ** 2
        x = x + hidden @ w["feed_forward.contract.weight"].T
    return x


def test_equals_the_papers_pseudo_code_with_padded_frames_left_out():
    resampler = make()
    weights = {name: value.numpy() for name, value in resampler.state_dict().items()}
    features = torch.randn(3, 4, 5, 6, dtype=torch.float64)
    frames = [4, 1, 3]
    frame_mask = torch.arange(4) < torch.tensor(frames)[:, None]
    with torch.no_grad():
        ours = resampler(features, frame_mask).numpy()
    for row, count in enumerate(frames):
        expected = paper_resampler(weights, features[row, :count].numpy())
        np.testing.assert_allclose(ours[row], expected, rtol=1e-10, atol=1e-10)


def test_what_lies_in_padded_frames_changes_nothing():
    resampler = make(features_width=7)
    features = torch.randn(2, 3, 5, 7, dtype=torch.float64)
    frame_mask = torch.tensor([[True, True, False], [True, False, False]])
    before = resampler(features, frame_mask)
    features[~frame_mask] = 1e6
    assert torch.equal(before, resampler(features, frame_mask))


def test_a_longer_video_beside_it_changes_nothing():
    resampler = make(time_embeddings=2)
    video = torch.randn(1, 3, 5, 6, dtype=torch.float64)
    alone = resampler(video, torch.ones(1, 3, dtype=torch.bool))
    padded = torch.cat([video, torch.zeros(1, 6, 5, 6, dtype=torch.float64)], dim=1)
    beside = resampler(padded, torch.arange(9)[None] < 3)
    torch.testing.assert_close(alone, beside, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        (1, [0.0]),
        (2, [0.0, 10.0]),
        (4, [0.0, 10.0, 20.0, 30.0]),
        (7, [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0]),
    ],
)
def test_time_embeddings_stretch_over_longer_videos_and_not_over_shorter_ones(frames, expected):
    embeddings = torch.tensor([0.0, 10.0, 20.0, 30.0]).view(4, 1, 1)
    timed = interpolate_in_time(embeddings, torch.ones(1, frames, dtype=torch.bool))
    torch.testing.assert_close(timed.flatten(), torch.tensor(expected))


def test_one_time_embedding_serves_every_frame():
    timed = interpolate_in_time(torch.full((1, 1, 2), 3.0), torch.ones(1, 5, dtype=torch.bool))
    assert torch.equal(timed, torch.full((1, 5, 1, 2), 3.0))
