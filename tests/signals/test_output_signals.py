"""Signals of a model's answers: closed forms, brute force, extreme logits."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seepage.signals import output

EVERY = [output.loss, output.confidence, output.margin, output.entropy, output.scaled_logit]


def test_two_classes_in_closed_form():
    """With logits (s, 0) and label 0 everything is a function of s."""
    s = 1.5
    logits, label = torch.tensor([[s, 0.0]], dtype=torch.float64), torch.tensor([0])
    p = 1 / (1 + math.exp(-s))
    expected = {
        output.loss: -math.log(p),
        output.confidence: p,
        output.margin: s,
        output.entropy: -p * math.log(p) - (1 - p) * math.log(1 - p),
        output.scaled_logit: s,
    }
    for signal, value in expected.items():
        assert signal(logits, label).item() == pytest.approx(value, rel=1e-12)


def test_a_uniform_answer():
    logits, labels = torch.zeros(2, 4, dtype=torch.float64), torch.tensor([0, 3])
    assert output.loss(logits, labels).tolist() == pytest.approx([math.log(4)] * 2)
    assert output.entropy(logits, labels).tolist() == pytest.approx([math.log(4)] * 2)
    assert output.scaled_logit(logits, labels).tolist() == pytest.approx([-math.log(3)] * 2)
    assert output.margin(logits, labels).tolist() == [0.0, 0.0]


logit = st.floats(-12, 12)


@given(st.lists(logit, min_size=2, max_size=6), st.integers(0, 100))
def test_against_brute_force(values, pick):
    y = pick % len(values)
    weights = [math.exp(v) for v in values]
    p = [w / sum(weights) for w in weights]
    others = sum(w for c, w in enumerate(weights) if c != y)
    expected = {
        output.loss: -math.log(p[y]),
        output.confidence: p[y],
        output.margin: values[y] - max(v for c, v in enumerate(values) if c != y),
        output.entropy: -sum(q * math.log(q) for q in p),
        output.scaled_logit: math.log(weights[y] / others),
    }
    logits = torch.tensor([values], dtype=torch.float64)
    for signal, value in expected.items():
        assert signal(logits, torch.tensor([y])).item() == pytest.approx(value, rel=1e-8, abs=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("signal", EVERY)
def test_extreme_logits_stay_finite(signal, dtype):
    extreme = torch.tensor([[1e4, -1e4, 0], [-1e4, 1e4, 1e4], [1e4, 1e4, 1e4]], dtype=dtype)
    for y in range(3):
        values = signal(extreme, torch.full((3,), y))
        assert values.dtype == dtype
        assert values.isfinite().all()


def test_a_sure_model_keeps_its_loss():
    """Float32 log-softmax gives 0 here."""
    logits = torch.tensor([[40.0, 0.0]])
    loss = output.loss(logits, torch.tensor([0])).item()
    assert loss == pytest.approx(math.exp(-40), rel=1e-5)


@pytest.mark.parametrize("signal", EVERY)
def test_leading_axes_are_models(signal):
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 7, 5, generator=rng)
    labels = torch.arange(7) % 5
    values = signal(logits, labels)
    assert values.shape == (2, 3, 7)
    for i in range(2):
        for j in range(3):
            torch.testing.assert_close(values[i, j], signal(logits[i, j], labels))
