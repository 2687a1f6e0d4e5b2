"""Convex-concave loss against its closed forms."""

import math

import pytest
import torch
from scipy.optimize import brentq
from torch.nn.functional import cross_entropy, one_hot

from seepage.defenses import convex_concave
from seepage.records import UserError

GAIN = {"exponential": torch.exp, "quadratic": lambda p: p + p**2 / 2}
SLOPE = {"exponential": torch.exp, "quadratic": lambda p: 1 + p}


def problem(n=40, k=10):
    rng = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(n, k, generator=rng, dtype=torch.float64)
    labels = torch.randint(k, (n,), generator=rng)
    return logits.requires_grad_(), labels, one_hot(labels, k).double()


@pytest.mark.parametrize("concave", GAIN)
@pytest.mark.parametrize("alpha", [0.0, 0.5, 0.9])
def test_value_and_gradient_are_the_closed_forms(concave, alpha):
    logits, labels, targets = problem()
    loss = convex_concave(alpha=alpha, concave=concave).loss(logits, targets)
    probabilities = logits.softmax(1).detach()
    p = probabilities[torch.arange(40), labels]
    torch.testing.assert_close(loss, -alpha * p.log() - (1 - alpha) * GAIN[concave](p))
    (slope,) = torch.autograd.grad(loss.sum(), logits)
    pull = alpha + (1 - alpha) * p * SLOPE[concave](p)
    torch.testing.assert_close(slope, pull[:, None] * (probabilities - targets))


def at(p, **options):
    """Loss of two classes as a function of the label's probability."""
    logits = torch.stack([p.log(), (1 - p).log()], 1)
    targets = torch.eye(2).double()[torch.zeros(len(p), dtype=torch.long)]
    return convex_concave(**options).loss(logits, targets)


def bend(**options):
    p = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    loss = at(p, **options)
    assert (loss.diff() < 0).all(), "the loss falls as the label's probability rises"
    return loss[2:] - 2 * loss[1:-1] + loss[:-2]


@pytest.mark.parametrize("concave", GAIN)
def test_one_part_is_concave_and_the_other_convex(concave):
    assert (bend(alpha=0.0, concave=concave) < 0).all()
    assert (bend(alpha=1 - 1e-9, concave=concave) > 0).all()
    # α / p² = (1 − α) c''(p) where the whole turns from convex to concave
    second = {"exponential": math.exp, "quadratic": lambda p: 1.0}[concave]
    expected = brentq(lambda p: p**2 * second(p) - 0.25 / 0.75, 0.01, 1)
    convex = bend(alpha=0.25, concave=concave) > 0
    turn = 0.02 + 0.01 * int(convex.sum())
    assert turn == pytest.approx(expected, abs=0.011)
    assert convex[: int(convex.sum())].all()


def test_the_quadratic_term_is_the_taylor_polynomial():
    p = torch.full((1,), 1e-3, dtype=torch.float64)
    one, other = (at(p, alpha=0.0, concave=c) for c in GAIN)
    assert float(other - one) == pytest.approx(1.0, abs=1e-8)


def test_mixed_targets_use_their_cross_entropy():
    logits, _, targets = problem()
    mixed = 0.5 * targets + 0.5 * targets.flip(0)
    entropy = cross_entropy(logits, mixed, reduction="none")
    expected = 0.5 * entropy - 0.5 * (-entropy).exp().exp()
    torch.testing.assert_close(convex_concave(alpha=0.5).loss(logits, mixed), expected)


def test_alpha_one_is_plain_cross_entropy():
    assert convex_concave(alpha=1.0).loss is None


@pytest.mark.parametrize("wrong", [-0.1, 1.1, math.nan])
def test_shares_out_of_range_are_refused(wrong):
    with pytest.raises(UserError, match=r"alpha in \[0, 1\]"):
        convex_concave(alpha=wrong)
    with pytest.raises(UserError, match="'exponential' or 'quadratic', got 'cubic'"):
        convex_concave(alpha=0.5, concave="cubic")
