"""The noise recomputed from a round, against rounds made with noise of a known size."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import chi2, norm

from seepage.observe.noise import find_noise, limits, right_weight
from seepage.protocols import NoisedUpdate
from seepage.records import Round

SHAPES = {"weight": (40, 25), "bias": (200,)}
P = 1200


def state(rng, scale):
    return {n: torch.from_numpy(rng.normal(0, scale, s).astype("f4")) for n, s in SHAPES.items()}


def plus(start, change):
    return {name: start[name] + change[name] for name in start}


def times(change, factor):
    return {name: factor * value for name, value in change.items()}


def length(change):
    return math.sqrt(sum(float(v.double().square().sum()) for v in change.values()))


def mean(states, weights):
    return {n: sum(w * states[k][n].double() for k, w in weights.items()).float() for n in SHAPES}


def made(noise, *, seed=0, weights=None, sizes=(0.05, 0.2, 1.0), scale=1.0, clip=None, mixed=None):
    """A round whose noise has ``scale`` times the deviation that ``noise`` promises.

    ``sizes`` are the norms of the clients' changes, ``clip`` is what they are really clipped to
    and ``mixed`` the weights that really go into the mean.
    """
    rng = np.random.default_rng(seed)
    weights = weights or {k: 1 / len(sizes) for k in range(len(sizes))}
    start, clip, local = state(rng, 0.1), clip or noise.clip, noise.where == "client"
    raw, sent = {}, {}
    for client, size in zip(weights, sizes, strict=True):
        change = state(rng, 1.0)
        change = times(change, size / length(change))
        raw[client] = plus(start, change)
        shrunk = times(change, min(1.0, clip / size))
        hidden = state(rng, scale * noise.sigma * noise.clip if local else 0.0)
        sent[client] = plus(start, plus(shrunk, hidden))
    aggregate = mean(sent, mixed or weights)
    deviation = scale * noise.sigma * noise.clip * max(weights.values())
    after = aggregate if local else plus(aggregate, state(rng, deviation))
    return Round(
        number=1,
        start=start,
        uploads=sent,
        weights=weights,
        after=after,
        learning_rate=0.1,
        raw_uploads=raw,
        aggregate=aggregate,
    )


LOCAL = NoisedUpdate(clip=0.2, sigma=0.1)
CENTRAL = NoisedUpdate(clip=0.2, sigma=0.5, where="server")


def right(found, error=1e-6):
    allowed = limits(found, error=error)
    low, high = allowed.factor
    least, most = allowed.deviation
    return (
        low <= found.factor_found <= high,
        least <= found.deviation_found <= most,
        right_weight(found),
    )


@pytest.mark.parametrize("noise", [LOCAL, CENTRAL])
def test_what_is_configured_is_what_is_found(noise):
    found = find_noise(made(noise), noise, {})
    assert [one.of for one in found] == [0, 1, 2] + ["server"] * (noise is CENTRAL)
    assert [one.norm for one in found[:3]] == pytest.approx([0.05, 0.2, 1.0], rel=1e-5)
    assert [one.factor for one in found[:3]] == pytest.approx([1.0, 1.0, 0.2], rel=1e-5)
    assert all(right(one) == (True, True, True) for one in found)
    assert {one.parameters for one in found} == {P}
    noisy = found if noise is LOCAL else found[3:]
    expected = 0.02 if noise is LOCAL else 0.5 * 0.2 / 3
    assert [one.deviation for one in noisy] == pytest.approx([expected] * len(noisy))
    assert [one.deviation_found for one in noisy] == pytest.approx([expected] * len(noisy), rel=0.1)
    assert [one.weight_found for one in found[:3]] == pytest.approx([1 / 3] * 3, abs=1e-5)


def test_the_limits_are_those_of_the_two_laws():
    found = find_noise(made(LOCAL), LOCAL, {})[2]
    allowed = limits(replace(found, rounding=0.0), error=0.01)
    law = chi2(P - 1)
    expected = [found.deviation * math.sqrt(law.ppf(p) / (P - 1)) for p in (0.005, 0.995)]
    assert allowed.deviation == pytest.approx(expected, rel=1e-9)
    for more in (0.5, 1.0, 2.0):  # noise that is too large is no fault of the factor
        other = replace(found, rounding=0.0, deviation_found=more * 0.02)
        reach = norm.isf(0.005) * max(1.0, more) * 0.02 / found.norm
        bounds = limits(other, error=0.01).factor
        assert bounds == pytest.approx((0.2 - reach, 0.2 + reach), abs=1e-6)


@pytest.mark.parametrize("error", [0.05, 0.5])
def test_chance_leaves_the_limits_as_often_as_promised(error):
    """Of 600 rows, each is outside of its limits with probability ``error``; a factor a bit more
    seldom, for its limits are wider where the noise happens to be large.
    """
    sides = np.array(
        [
            right(one, error)[:2]
            for s in range(200)
            for one in find_noise(made(LOCAL, seed=s), LOCAL, {})
        ]
    )
    outside, deviation = (~sides).sum(0), math.sqrt(len(sides) * error * (1 - error))
    assert np.all(np.abs(outside - error * len(sides)) < 4 * deviation)


DEFECTS = {
    "twice": {"scale": 2.0},
    "a twentieth less": {"scale": 0.8},
    "divided by the root of the clients": {"scale": 1 / math.sqrt(3)},
    "none": {"scale": 0.0},
}


@pytest.mark.parametrize("defect", DEFECTS)
@pytest.mark.parametrize("noise", [LOCAL, CENTRAL])
def test_noise_of_another_size_is_seen_and_nothing_else(noise, defect):
    for seed in range(5):
        found = find_noise(made(noise, seed=seed, **DEFECTS[defect]), noise, {})
        noisy = found if noise is LOCAL else found[3:]
        for one in found:
            assert right(one) == (True, one not in noisy, True)
            scale = DEFECTS[defect]["scale"] if one in noisy else 1.0
            assert one.deviation_found == pytest.approx(scale * one.deviation, rel=0.1, abs=1e-6)


@pytest.mark.parametrize("noise", [LOCAL, CENTRAL, replace(LOCAL, sigma=0.0)])
def test_a_change_that_was_not_clipped_is_seen_and_nothing_else(noise):
    found = find_noise(made(noise, clip=math.inf), noise, {})
    assert [right(one) for one in found[:2]] == [(True, True, True)] * 2
    assert right(found[2]) == (False, True, True)
    assert found[2].factor_found == pytest.approx(1.0, abs=0.1)


def test_noise_for_a_larger_cohort_is_seen():
    """Five of ten take part, and the noise is divided by ten."""
    found = find_noise(made(CENTRAL, sizes=(0.1,) * 5, scale=5 / 10), CENTRAL, {})
    assert right(found[-1]) == (True, False, True)
    assert found[-1].deviation_found == pytest.approx(found[-1].deviation / 2, rel=0.1)


@pytest.mark.parametrize("noise", [LOCAL, CENTRAL])
def test_weights_that_were_not_used_are_seen(noise):
    what = made(noise, weights={2: 0.5, 5: 0.3, 7: 0.2}, mixed={2: 1 / 3, 5: 1 / 3, 7: 1 / 3})
    found = {one.of: one for one in find_noise(what, noise, {})}
    assert [found[k].weight for k in (2, 5, 7)] == [0.5, 0.3, 0.2]
    assert [found[k].weight_found for k in (2, 5, 7)] == pytest.approx([1 / 3] * 3, abs=1e-4)
    assert [right_weight(found[k]) for k in (2, 5, 7)] == [False] * 3
    kept = {
        one.of: one for one in find_noise(made(noise, weights={2: 0.5, 5: 0.3, 7: 0.2}), noise, {})
    }
    assert all(right_weight(one) for one in kept.values())
    assert noise is LOCAL or kept["server"].deviation == pytest.approx(0.5 * 0.2 * 0.5)


def test_weights_that_cannot_be_told_apart_are_not_judged():
    what = made(replace(LOCAL, sigma=0.0), sizes=(0.1, 0.1))
    same = dict.fromkeys(what.uploads, what.uploads[0])
    found = find_noise(replace(what, uploads=same, raw_uploads=same), LOCAL, {})
    assert [one.weight_found for one in found] == [None, None]
    assert all(right_weight(one) for one in found)


def test_a_client_that_did_not_move_sends_noise_alone():
    what = made(LOCAL, sizes=(0.1, 0.2))
    raw = {0: what.start, 1: what.raw_uploads[1]}
    noise = plus(what.start, state(np.random.default_rng(1), 0.02))
    found = find_noise(
        replace(what, raw_uploads=raw, uploads={0: noise, 1: what.uploads[1]}), LOCAL, {}
    )
    assert (found[0].norm, found[0].factor, found[0].factor_found) == (0.0, 1.0, 1.0)
    assert right(found[0])[:2] == (True, True)


def test_an_adaptive_norm_is_the_one_that_was_told():
    adaptive = replace(
        CENTRAL, clip=9.0, adaptive=True, kept="it/clip", on_changes=lambda clients: clients / 6
    )
    what = made(CENTRAL)  # clipped to 0.2, noise multiplier 1/2 = 3/6
    told = {"it/clip": torch.tensor(0.2, dtype=torch.float64)}
    assert all(right(one) == (True, True, True) for one in find_noise(what, adaptive, told))
    assert not all(right(one)[0] for one in find_noise(what, replace(adaptive, clip=0.1), {}))


def test_rounding_is_not_taken_for_noise():
    """Large parameters and small changes: what is sent differs from the change by rounding."""
    silent = replace(LOCAL, sigma=0.0, clip=1e-3)
    what = made(silent, sizes=(5e-4, 2e-3))
    far = {n: v + 100.0 for n, v in what.start.items()}
    moved = {
        name: {k: plus(far, {n: v[n] - what.start[n] for n in v}) for k, v in states.items()}
        for name, states in {"uploads": what.uploads, "raw_uploads": what.raw_uploads}.items()
    }
    after = mean(moved["uploads"], what.weights)
    found = find_noise(replace(what, start=far, after=after, aggregate=after, **moved), silent, {})
    assert all(right(one) == (True, True, True) for one in found)
    assert found[1].deviation_found > 1e-7  # some is there


def test_four_parameters_by_hand():
    """Δ = (3, 0, 0, 4) becomes (1.5, 1, 0, 2.5): â = 14.5 / 25, and the rest is divided by 3."""
    start = {"all": torch.zeros(4)}
    raw, sent = torch.tensor([3.0, 0, 0, 4]), torch.tensor([1.5, 1.0, 0, 2.5])
    what = Round(
        number=1,
        start=start,
        uploads={0: {"all": sent}},
        weights={0: 1.0},
        after={"all": 2 * sent},
        learning_rate=0.1,
        raw_uploads={0: {"all": raw}},
        aggregate={"all": sent},
    )
    (found,) = find_noise(what, NoisedUpdate(clip=2.5, sigma=0.2), {})
    assert (found.norm, found.factor, found.deviation, found.parameters) == (5.0, 0.5, 0.5, 4)
    assert found.factor_found == pytest.approx(14.5 / 25)
    rest = (1.5 - 3 * 0.58) ** 2 + 1 + (2.5 - 4 * 0.58) ** 2
    assert found.deviation_found == pytest.approx(math.sqrt(rest / 3))
    # what all clients are sent counts, not what the mean should have been
    assert found.weight_found == pytest.approx(2.0)
    assert limits(found, error=0.1).deviation[0] == pytest.approx(
        0.5 * math.sqrt(chi2.ppf(0.05, 3) / 3), abs=1e-5
    )
