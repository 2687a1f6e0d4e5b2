"""The table of regularizers: a contract for all, values by hand, and which way a sign drives."""

import math
import pickle
from inspect import signature

import numpy as np
import pytest
import torch

from seepage.dependence import biased_hsic
from seepage.dependence import coco as covariance
from seepage.inversion.hsic import halves
from seepage.inversion.regularizers import (
    CLOSEST,
    REGULARIZERS,
    build_regularizer,
    coco,
    hsic_biased,
    log_det,
    mode_seeking,
)
from seepage.records import UserError

every = pytest.mark.parametrize("name", REGULARIZERS)


def drawn(seed, *shape, dtype=torch.float64):
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=rng, dtype=torch.float64).to(dtype)


def batch(groups=3, count=8, dtype=torch.float64):
    return drawn(0, groups, count, 1, 4, 4, dtype=dtype), drawn(1, groups, count, 5, dtype=dtype)


def apart(group):
    return torch.pdist(group.flatten(1)).mean().item()


def descended(regularizer, images, latents, steps=10, rate=0.05):
    moving = images.clone().requires_grad_()
    for _ in range(steps):
        (slope,) = torch.autograd.grad(regularizer(moving, latents).sum(), moving)
        with torch.no_grad():
            moving -= rate * slope / slope.norm()
    return moving.detach()


# --- the contract ------------------------------------------------------------------------------


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_number_a_group_of_the_type_of_the_images(name, dtype):
    penalty = build_regularizer(name)(*batch(dtype=dtype))
    assert penalty.shape == (3,)
    assert penalty.dtype == dtype
    assert penalty.isfinite().all()
    assert penalty.all()


@every
def test_weight_is_a_factor(name):
    images, latents = batch()
    one, three, minus = (build_regularizer(name, weight=w)(images, latents) for w in (1, 3, -1))
    torch.testing.assert_close(three, 3 * one)
    torch.testing.assert_close(minus, -one)


@every
def test_zero_weight_is_exactly_zero(name):
    images, latents = batch()
    images.requires_grad_()
    penalty = build_regularizer(name, weight=0.0)(images, latents)
    penalty.sum().backward()
    assert penalty.tolist() == [0, 0, 0]
    assert not images.grad.any()


@every
def test_groups_do_not_touch(name):
    images, latents = batch()
    regularizer = build_regularizer(name)
    penalty = regularizer(images, latents)
    for group in range(3):
        alone = regularizer(images[group : group + 1], latents[group : group + 1])
        torch.testing.assert_close(alone[0], penalty[group])
    images.requires_grad_()
    regularizer(images, latents)[1].backward()
    assert images.grad[1].any()
    assert not images.grad[[0, 2]].any()


@every
def test_one_image_alone_has_none(name):
    images, latents = batch(count=1)
    images.requires_grad_()
    penalty = build_regularizer(name, weight=5.0)(images, latents)
    penalty.sum().backward()
    assert penalty.tolist() == [0, 0, 0]
    assert not images.grad.any()


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_images_have_finite_gradients(name, dtype):
    _, latents = batch(groups=2, dtype=dtype)
    images = torch.full((2, 8, 1, 4, 4), 0.1, dtype=dtype)
    images[1, ::2] = 0.7
    images.requires_grad_()
    penalty = build_regularizer(name)(images, latents)
    penalty.sum().backward()
    assert penalty.isfinite().all()
    assert images.grad.isfinite().all()


@every
def test_latents_are_a_yardstick(name):
    images, latents = batch()
    images.requires_grad_()
    latents.requires_grad_()
    build_regularizer(name)(images, latents).sum().backward()
    assert images.grad.any()
    assert latents.grad is None


@every
def test_pickled(name):
    images, latents = batch()
    regularizer = build_regularizer(name)
    copy = pickle.loads(pickle.dumps(regularizer))
    assert torch.equal(copy(images, latents), regularizer(images, latents))


@every
def test_the_table_names_every_option(name):
    entry = REGULARIZERS[name]
    assert set(entry.options) == set(signature(entry.factory).parameters)
    assert entry.factory.__name__ == name
    assert entry.summary
    assert "20" in entry.paper


@pytest.mark.parametrize("name", ["coco", "hsic", "log_det"])
@pytest.mark.parametrize("sigma", [1e-15, 1e15])
def test_the_widest_and_the_narrowest_kernel_have_numbers(name, sigma):
    images, latents = batch(dtype=torch.float32)
    images.requires_grad_()
    penalty = build_regularizer(name, sigma=sigma)(images, latents)
    penalty.sum().backward()
    assert penalty.isfinite().all()
    assert images.grad.isfinite().all()


# --- which way ---------------------------------------------------------------------------------


CONTRACT = {"hsic", "coco"}
"""Those that a positive weight makes draw images together; all others drive them apart."""


@every
@pytest.mark.parametrize("seed", range(3))
def test_a_positive_weight_contracts_or_drives_apart_as_the_summary_says(name, seed):
    start, latents = drawn(seed, 1, 8, 1, 6, 6), drawn(seed + 9, 1, 8, 5)
    sign = -1 if name in CONTRACT else 1
    for weight in (1.0, -1.0):
        end = descended(build_regularizer(name, weight=weight), start, latents)
        assert sign * weight * (apart(end[0]) - apart(start[0])) > 0
    words = "contracts" if name in CONTRACT else "drives apart"
    assert f"a positive weight {words}" in REGULARIZERS[name].summary


@pytest.mark.parametrize("seed", range(3))
def test_hsic_biased_makes_collapsed_images_follow_their_latents(seed):
    rng = torch.Generator().manual_seed(seed)
    start = drawn(seed, 1, 1, 1, 6, 6).repeat_interleave(6, 1)
    start = start + 0.05 * torch.randn(start.shape, generator=rng, dtype=start.dtype)
    latents = drawn(seed + 9, 1, 6, 5)
    ends = [descended(hsic_biased(weight=w), start, latents) for w in (-1.0, 1.0)]
    down, before, up = (
        biased_hsic(latents, x.flatten(2)).item() for x in (ends[0], start, ends[1])
    )
    assert down < before < up


# --- values ------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["spectral", "frobenius"])
def test_coco_is_of_the_halves(norm):
    images, latents = batch(count=9)
    got = coco(weight=2.0, sigma=0.3, norm=norm)(images, latents)
    torch.testing.assert_close(got, 2 * covariance(*halves(images), sigma=0.3, norm=norm))


def test_hsic_biased_is_of_latents_and_images():
    images, latents = batch()
    expected = [-2 * biased_hsic(z, x.flatten(1)).item() for x, z in zip(*batch(), strict=True)]
    got = hsic_biased(weight=2.0)(images, latents)
    np.testing.assert_allclose(got, expected, rtol=1e-9)


def test_mode_seeking_is_the_mean_over_pairs():
    images, latents = batch()
    penalty = mode_seeking(weight=2.0)(images, latents)
    for x, z, got in zip(images, latents, penalty, strict=True):
        ratios = torch.pdist(x.flatten(1)) / (torch.pdist(z) + CLOSEST)
        assert got.item() == pytest.approx(-2 * ratios.mean().item(), rel=1e-9)


def test_mode_seeking_of_equal_images_from_equal_latents():
    images, latents = torch.ones(1, 4, 1, 2, 2), torch.ones(1, 4, 3)
    assert mode_seeking()(images, latents).item() == 0


def test_log_det_of_two_images_by_hand():
    images = torch.zeros(1, 2, 1, 2, 2, dtype=torch.float64)
    images[0, 1] = 0.6  # root-mean-square distance 0.6
    k = math.exp(-(0.6**2) / (2 * 0.5**2)) / 1.001
    got = log_det(weight=2.0)(images, drawn(0, 1, 2, 3)).item()
    assert got == pytest.approx(-2 * math.log(1 - k**2), rel=1e-9)


@pytest.mark.parametrize("count", [2, 7])
def test_log_det_from_one_extreme_to_the_other(count):
    latents = drawn(0, 1, count, 3)
    equal = log_det(weight=1.0, ridge=1e-3)(torch.ones(1, count, 1, 2, 2).double(), latents).item()
    # eigenvalues of (11^T + r I) / (1 + r): (b + r) / (1 + r) once, r / (1 + r) b - 1 times
    r = 1e-3
    exact = -math.log((count + r) / (1 + r)) - (count - 1) * math.log(r / (1 + r))
    assert equal == pytest.approx(exact, rel=1e-9)
    far = 100 * torch.arange(count).double().view(1, -1, 1, 1, 1)
    assert log_det(weight=1.0)(far, latents).item() == pytest.approx(0, abs=1e-12)


# --- by name -----------------------------------------------------------------------------------


def test_none_is_none():
    assert build_regularizer("none") is None


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("hsik", {}, "there is no regularizer 'hsik'; did you mean hsic"),
        ("nothing_like_it", {}, "known here: none, coco, hsic"),
        ("hsic", {"wieght": 1.0}, "'hsic' has no option 'wieght'; did you mean weight"),
        ("hsic", {"name": "x"}, "'hsic' has no option 'name'; known here: weight, sigma"),
        ("none", {"weight": 1.0}, "'none' has no option 'weight'; there is none to choose from"),
        ("log_det", {"ridge": 0.0}, "ridge must be a finite number >= 1e-15 .*, got 0"),
        ("coco", {"norm": "nuclear"}, "norm must be one of spectral, frobenius, got 'nuclear'"),
        ("coco", {"sigma": -1}, "sigma must be a finite number >= 1e-15 .*, got -1"),
        ("mode_seeking", {"weight": float("nan")}, "weight must be a finite number, got nan"),
        ("hsic_biased", {"weight": None}, "weight must be a finite number, got None"),
    ],
)
def test_what_nobody_can_build_is_refused(name, options, words):
    with pytest.raises(UserError, match=words):
        build_regularizer(name, **options)
