"""FedInverse's regularizer: what it is of a batch of images, and which way its sign drives them."""

import math
import pickle

import pytest
import torch

from seepage import dependence
from seepage.inversion.hsic import halves, hsic, normalized_hsic
from seepage.records import UserError


def images(seed, *shape):
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=rng, dtype=torch.float64)


def apart(group):
    """Mean distance of two images."""
    return torch.pdist(group.flatten(1)).mean().item()


def descended(regularizer, start, steps=30, rate=0.3):
    """Images after a few steps down their penalty, each as long as the last."""
    moving = start.clone().requires_grad_()
    for _ in range(steps):
        (slope,) = torch.autograd.grad(regularizer(moving, moving[:, :, 0, 0]).sum(), moving)
        with torch.no_grad():
            moving -= rate * slope / slope.norm()
    return moving.detach()


def test_two_images_a_half_in_closed_form():
    x, y = images(0, 2, 1, 3, 3), images(1, 2, 1, 3, 3)
    k = [math.exp(-(part[0] - part[1]).square().mean().item() / (2 * 5**2)) for part in (x, y)]
    expected = math.prod((1 - each) / (1 - each + 2e-5) for each in k)
    assert normalized_hsic(x, y).item() == pytest.approx(expected, rel=1e-9)
    assert hsic(weight=3.0)(torch.cat((x, y))[None], images(2, 1, 4, 5)).item() == pytest.approx(
        3 * expected, rel=1e-9
    )


@pytest.mark.parametrize("shape", [(6,), (6, 4), (6, 3, 2, 2)])
def test_samples_of_any_shape_are_flattened(shape):
    x, y = images(0, *shape), images(1, *shape)
    flat = dependence.normalized_hsic(x.reshape(6, -1), y.reshape(6, -1), sigma=0.5, epsilon=1e-3)
    assert normalized_hsic(x, y, sigma=0.5, epsilon=1e-3).item() == flat.item()


def test_defaults_are_those_of_the_paper():
    x, y = images(0, 6, 1, 4, 4), images(1, 6, 1, 4, 4)
    plain = dependence.normalized_hsic(x.flatten(1), y.flatten(1), sigma=5.0, epsilon=1e-5)
    assert normalized_hsic(x, y).item() == plain.item()
    latents = images(2, 1, 12, 3)
    both = torch.cat((x, y))[None]
    assert hsic()(both, latents).item() == pytest.approx(0.05 * plain.item(), rel=1e-12)


@pytest.mark.parametrize("m", [0, 1])
def test_nothing_to_compare(m):
    x = images(0, m, 1, 4, 4)
    assert normalized_hsic(x, x).item() == 0


def test_halves_are_cut_by_position_and_an_odd_image_is_left_out():
    group = images(0, 2, 7, 1, 2, 3)
    first, second = halves(group)
    assert first.shape == second.shape == (2, 3, 6)
    assert torch.equal(first, group[:, :3].flatten(2))
    assert torch.equal(second, group[:, 3:6].flatten(2))


def test_an_odd_image_does_not_move():
    group = images(0, 1, 7, 1, 3, 3).requires_grad_()
    hsic()(group, images(1, 1, 7, 2)).sum().backward()
    moved = group.grad[0].flatten(1).any(1)
    assert moved.tolist() == [True] * 6 + [False]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_below_four_images_there_is_no_penalty(count):
    assert hsic(weight=7.0)(images(0, 2, count, 1, 3, 3), images(1, 2, count, 2)).tolist() == [0, 0]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("count", [4, 20])
def test_a_positive_weight_contracts_and_a_negative_one_drives_apart(seed, count):
    start = images(seed, 1, count, 1, 8, 8)
    before = [apart(half) for half in halves(start)[0]] + [apart(half) for half in halves(start)[1]]
    for weight, sign in ((0.05, -1), (10.0, -1), (-0.05, 1), (-10.0, 1)):
        end = descended(hsic(weight=weight), start)
        after = [apart(half) for half in (*halves(end)[0], *halves(end)[1])]
        assert all(sign * (b - a) > 0 for a, b in zip(before, after, strict=True))


def test_pairing_hardly_counts_but_distances_within_a_half_do():
    # of two pictures a half: the same value whichever way round one half is
    x, y = images(0, 2, 1, 4, 4), images(1, 2, 1, 4, 4)
    value = normalized_hsic(x, y).item()
    assert normalized_hsic(x, y.flip(0)).item() == pytest.approx(value, rel=1e-12)
    assert normalized_hsic(x, y + 0.3).item() == pytest.approx(value, rel=1e-9)
    assert normalized_hsic(x / 10, y).item() < 0.9 * value


def test_pickled():
    regularizer = hsic(weight=-1.0, sigma=2.0)
    group, latents = images(0, 2, 8, 1, 3, 3), images(1, 2, 8, 4)
    copy = pickle.loads(pickle.dumps(regularizer))
    assert torch.equal(copy(group, latents), regularizer(group, latents))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"weight": math.inf}, "weight must be a finite number, got inf"),
        ({"weight": "0.05"}, "weight must be a finite number, got '0.05'"),
        ({"weight": True}, "weight must be a finite number, got True"),
        ({"sigma": 0}, r"sigma must be a finite number >= 1e-15 and <= 1e\+15, got 0"),
        ({"sigma": 1e200}, r"sigma must be .* got 1e\+200"),
        ({"sigma": 1e-200}, "sigma must be .* got 1e-200"),
    ],
)
def test_wrong_options_are_refused(options, words):
    with pytest.raises(UserError, match=words):
        hsic(**options)
