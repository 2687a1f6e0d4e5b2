"""Each defense against its own promises."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seepage.defenses import (
    label_mixup,
    mixup,
    perturbation,
    quantization,
    sparsification,
    weight_noise,
)
from seepage.defenses.sparsification import largest
from seepage.protocols import Turn
from seepage.records import UserError


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def turn(seed=0):
    return Turn(rng=rng(seed))


def change_of(seed=0, scale=1.0):
    return {
        "weight": scale * torch.randn(40, 50, generator=rng(seed)),
        "bias": scale * torch.randn(1000, generator=rng(seed + 1)),
    }


def norm(change):
    return math.sqrt(sum(float(v.double().square().sum()) for v in change.values()))


@settings(deadline=None, derandomize=True)
@given(st.floats(0.01, 10), st.floats(0.001, 10))
def test_perturbation_bounded_and_aligned(clip, scale):
    change = change_of(scale=scale)
    clipped = perturbation(clip=clip).update(change, turn())
    assert norm(clipped) <= clip * (1 + 1e-5)
    assert norm(clipped) == pytest.approx(min(clip, norm(change)), rel=1e-5)
    factor = norm(clipped) / norm(change)
    for name in change:
        torch.testing.assert_close(clipped[name], change[name] * factor, rtol=1e-4, atol=0)


def test_perturbation_transparent():
    change = change_of(scale=1e-4)
    clipped = perturbation(clip=1.0).update(change, turn())
    assert all(clipped[name] is change[name] for name in change)
    assert perturbation(clip=math.inf).update is None


def deviation_of(defense, change):
    sent = defense.update(change, turn(5))
    return torch.cat([(sent[n] - change[n]).flatten() for n in change])


def test_perturbation_noise_has_deviation_sigma_times_clip():
    noise = deviation_of(perturbation(clip=2.0, sigma=0.5), change_of(scale=1e-6))
    count = len(noise)
    assert abs(float(noise.mean())) < 4 / math.sqrt(count)
    assert float(noise.std()) == pytest.approx(1.0, abs=4 / math.sqrt(2 * count))


def test_weight_noise_does_not_clip():
    noise = deviation_of(weight_noise(sigma=0.3), change_of(scale=100.0))
    assert float(noise.std()) == pytest.approx(0.3, abs=4 * 0.3 / math.sqrt(2 * len(noise)))


def test_noise_is_new_for_every_tensor_and_draw():
    change = {"a": torch.zeros(500), "b": torch.zeros(500)}
    given = turn()
    first = weight_noise(sigma=1.0).update(change, given)
    second = weight_noise(sigma=1.0).update(change, given)
    assert not torch.equal(first["a"], first["b"])
    assert not torch.equal(first["a"], second["a"])


@pytest.mark.parametrize("drop", [0.1, 0.5, 0.9, 0.99, 1.0])
def test_sparsification_keeps_exactly_the_largest(drop):
    change = change_of()
    sent = sparsification(drop=drop).update(change, turn())
    kept = sent["weight"] != 0
    assert int(kept.sum()) == math.floor(2000 * (1 - Fraction(str(drop))))
    assert torch.equal(sent["weight"][kept], change["weight"][kept])
    if kept.any():
        assert sent["weight"][kept].abs().min() >= change["weight"][~kept].abs().max()
    assert sent["bias"] is change["bias"]  # 1,000 elements are not more than 1,000


def test_sparsification_of_tied_values_keeps_the_first_and_no_more():
    sent = sparsification(drop=0.75).update({"w": torch.ones(2000)}, turn())
    assert torch.equal(sent["w"], (torch.arange(2000) < 500).float())


@settings(deadline=None, derandomize=True)
@given(st.integers(0, 200), st.integers(0, 10**6), st.sampled_from([1, 3, 1e-3, 1e6]))
def test_the_largest_are_those_of_a_stable_sort(count, seed, spread):
    # few values, so that many are equal; of both signs, with zeros of both signs among them
    value = (torch.randn(10, 20, generator=rng(seed)) * spread).round() * 1e-3
    value[0, :5] = -0.0
    expected = torch.zeros(200, dtype=torch.bool)
    expected[value.flatten().abs().sort(descending=True, stable=True).indices[:count]] = True
    found = largest(value, count)
    assert torch.equal(found, expected.view(10, 20))
    assert torch.equal(largest(value.double(), count), found)


def test_the_largest_of_more_than_a_block():
    value = torch.randn(3, 50_021, generator=rng())
    for count in (1, 77, 75_000, 150_063):
        chosen = largest(value, count)
        assert int(chosen.sum()) == count
        rest = value[~chosen].abs()
        assert not len(rest) or value[chosen].abs().min() >= rest.max()


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_quantization_has_few_levels_and_moves_little(bits):
    value = torch.randn(20_000, generator=rng())
    sent = quantization(bits=bits).update({"w": value}, turn())["w"]
    step = float(value.max() - value.min()) / 2**bits
    assert len(sent.unique()) <= 2**bits + 1
    assert len(sent.unique()) > 2 ** (bits - 1)
    moved = value - sent
    assert float(moved.min()) >= -1e-6
    assert float(moved.max()) <= step * (1 + 1e-5)
    assert sent.min() == value.min()
    assert sent.max() == value.max()


def test_quantization_is_its_formula_in_exact_numbers():
    # more than one block; levels so fine that single precision would miss some
    value = torch.randn(70_000, generator=rng())
    sent = quantization(bits=23).update({"w": value}, turn())["w"]
    low, high = Fraction(float(value.min())), Fraction(float(value.max()))
    step = (high - low) / 2**23
    for i in [*range(400), 16_383, 16_384, 69_999]:
        level = (Fraction(float(value[i])) - low) // step
        assert float(sent[i]) == float(np.float32(float(low + level * step)))


def test_quantization_leaves_a_constant_tensor():
    change = {"w": torch.full((4,), 0.1)}
    assert quantization(bits=1).update(change, turn())["w"] is change["w"]


def batch(seed=0, count=12):
    inputs = torch.randn(count, 3, generator=rng(seed))
    return inputs, torch.eye(count)


def test_mixup_mixes_inputs_and_targets_alike():
    # targets are the unit vectors, so they say which samples were mixed, and with what share
    inputs, targets = batch()
    mixed, share = mixup(alpha=1.0).batch(inputs, targets, rng())
    torch.testing.assert_close(mixed, share @ inputs)
    torch.testing.assert_close(share.sum(1), torch.ones(12))
    torch.testing.assert_close(share.sum(0), torch.ones(12))
    assert not torch.equal(share, targets)
    assert float(share.diagonal().min()) >= 0.5


def test_mixup_shares_follow_the_folded_beta():
    # Beta(1, 1) is uniform, folded onto [1/2, 1]: mean 3/4, deviation 1/(4 √3)
    inputs, targets = batch(count=2)
    generator, hook = rng(), mixup(alpha=1.0).batch
    shares = [float(hook(inputs, targets, generator)[1][0, 0]) for _ in range(1000)]
    shares = [share for share in shares if share < 1]  # π was the identity otherwise
    assert 400 < len(shares) < 600
    error = 1 / (4 * math.sqrt(3)) / math.sqrt(len(shares))
    assert np.mean(shares) == pytest.approx(0.75, abs=4 * error)


def test_mixup_with_vanishing_alpha_changes_no_bit_and_label_mixup_does():
    inputs, targets = batch()
    generator, hook = rng(), mixup(alpha=1e-9).batch
    for _ in range(20):
        mixed = hook(inputs, targets, generator)
        assert torch.equal(mixed[0], inputs)
        assert torch.equal(mixed[1], targets)
    generator, hook = rng(), label_mixup(alpha=1e-9).batch
    shuffled = [not torch.equal(hook(inputs, targets, generator)[1], targets) for _ in range(200)]
    assert abs(sum(shuffled) - 100) < 4 * math.sqrt(50)


def test_label_mixup_leaves_inputs():
    inputs, targets = batch()
    mixed, share = label_mixup(alpha=1.0).batch(inputs, targets, rng())
    assert mixed is inputs
    assert not torch.equal(share, targets)
    torch.testing.assert_close(share.sum(1), torch.ones(12))


@pytest.mark.parametrize(
    ("factory", "wrong"),
    [
        (perturbation, {"clip": 0.0}),
        (perturbation, {"sigma": -0.1}),
        (perturbation, {"clip": math.inf, "sigma": 0.1}),
        (perturbation, {"clip": math.nan}),
        (perturbation, {"delta": 0.0}),
        (weight_noise, {"sigma": -0.1}),
        (weight_noise, {"sigma": math.inf}),
        (sparsification, {"drop": 1.1}),
        (sparsification, {"drop": -0.1}),
        (quantization, {"bits": 0}),
        (quantization, {"bits": 2.5}),
        (mixup, {"alpha": -1.0}),
        (label_mixup, {"alpha": math.nan}),
    ],
)
def test_strengths_out_of_range_are_refused(factory, wrong):
    with pytest.raises(UserError, match=r"needs|must"):
        factory(**wrong)
