"""Label smoothing against its formula, torch's own, and HAMP without its regulariser."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy, one_hot

from seepage.defenses import label_smoothing
from seepage.defenses.hamp import hamp, soft_label
from seepage.records import UserError


def problem(n=9, k=10):
    rng = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(n, k, generator=rng, dtype=torch.float64)
    labels = torch.randint(k, (n,), generator=rng)
    return logits.requires_grad_(), labels, one_hot(labels, k).double()


def test_it_is_the_cross_entropy_of_the_smoothed_label():
    logits, labels, targets = problem()
    log_p = logits.log_softmax(1).detach()
    expected = [
        -sum((0.7 if c == y else 0.3 / 9) * row[c] for c in range(10))
        for row, y in zip(log_p.tolist(), labels.tolist(), strict=True)
    ]
    found = label_smoothing(smoothing=0.3).loss(logits, targets)
    torch.testing.assert_close(found, torch.tensor(expected).double())


def test_it_is_that_of_szegedy_et_al_at_a_rescaled_strength():
    logits, labels, targets = problem()
    theirs = cross_entropy(logits, labels, label_smoothing=0.2, reduction="none")
    found = label_smoothing(smoothing=0.2 * 9 / 10).loss(logits, targets)
    torch.testing.assert_close(found, theirs)


def test_hamp_without_regulariser_has_the_same_gradient_and_differs_by_the_labels_entropy():
    logits, _, targets = problem(k=100)
    peak = soft_label(100, 0.05)
    ours = label_smoothing(smoothing=1 - peak).loss(logits, targets)
    theirs = hamp(gamma=0.05, alpha=0.0).loss(logits, targets)
    entropy = -peak * math.log(peak) - (1 - peak) * math.log((1 - peak) / 99)
    torch.testing.assert_close(ours - theirs, torch.full((9,), entropy).double())
    slopes = [torch.autograd.grad(loss.sum(), logits)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*slopes)


def test_zero_is_plain_cross_entropy():
    assert label_smoothing(smoothing=0.0).loss is None


@pytest.mark.parametrize("wrong", [-0.1, 1.0, math.nan])
def test_strengths_out_of_range_are_refused(wrong):
    with pytest.raises(UserError, match=r"smoothing in \[0, 1\)"):
        label_smoothing(smoothing=wrong)


def test_a_label_less_likely_than_the_others_is_refused():
    logits, _, targets = problem(k=2)
    assert torch.isfinite(label_smoothing(smoothing=0.5).loss(logits, targets)).all()
    with pytest.raises(UserError, match=r"at most 1 - 1/2 with 2 classes, got 0\.6"):
        label_smoothing(smoothing=0.6).loss(logits, targets)
