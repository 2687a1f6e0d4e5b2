"""Signals of a model's answers: closed forms, brute force, extreme logits."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seepage.metrics import auc, tpr_at_fpr
from seepage.signals import SIGNALS, output, scaled_logit
from seepage.signals.output import OUTPUT

EVERY = list(OUTPUT.values())


def test_the_table_holds_every_function_under_its_name():
    assert list(OUTPUT) == sorted(OUTPUT)
    assert all(function.__name__ == name for name, function in OUTPUT.items())
    assert OUTPUT.keys() <= SIGNALS.keys()


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
        output.modified_entropy: -2 * (1 - p) * math.log(p),
        output.correct: 1,
        output.rank: 0,
    }
    for signal, value in expected.items():
        assert signal(logits, label).item() == pytest.approx(value, rel=1e-12)


def test_a_uniform_answer():
    logits, labels = torch.zeros(2, 4, dtype=torch.float64), torch.tensor([0, 3])
    assert output.loss(logits, labels).tolist() == pytest.approx([math.log(4)] * 2)
    assert output.entropy(logits, labels).tolist() == pytest.approx([math.log(4)] * 2)
    assert output.scaled_logit(logits, labels).tolist() == pytest.approx([-math.log(3)] * 2)
    assert output.margin(logits, labels).tolist() == [0.0, 0.0]
    assert output.correct(logits, labels).tolist() == [1.0, 0.0], (
        "the first of equals is the answer"
    )
    assert output.rank(logits, labels).tolist() == [1.5, 1.5]


def test_whole_numbers_do_as_logits():
    assert scaled_logit([[1, 2]], [1]).tolist() == pytest.approx([1.0])


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
        output.modified_entropy: -(1 - p[y]) * math.log(p[y])
        - sum(q * math.log(1 - q) for c, q in enumerate(p) if c != y),
        output.correct: float(values.index(max(values)) == y),
        output.rank: sum((v > values[y]) + (v == values[y]) / 2 for v in values) - 0.5,
    }
    assert expected.keys() == set(EVERY)
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


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_modified_entropy_of_a_sure_answer(dtype):
    """0 where it is right, and the two log-odds, 2 × 2e4, where it is wrong."""
    logits = torch.tensor([[1e4, -1e4, -1e4]], dtype=dtype)
    assert output.modified_entropy(logits, torch.tensor([0])).item() == 0
    assert output.modified_entropy(logits, torch.tensor([1])).item() == pytest.approx(4e4, rel=1e-4)
    assert output.entropy(logits, torch.tensor([1])).item() == 0


def test_modified_entropy_keeps_its_digits_where_probabilities_round_to_one():
    """With K = 3 and logits (s, 0, 0): 1 - p ≈ 2 exp(-s) of the top class is 0 in float64."""
    logits = torch.tensor([[50.0, 0.0, 0.0]], dtype=torch.float64)
    right, wrong = (output.modified_entropy(logits, torch.tensor([y])).item() for y in (0, 1))
    q = math.exp(-50)
    assert right == pytest.approx((2 * q) ** 2 + 2 * q * q, rel=1e-9)
    assert wrong == pytest.approx(50 + (50 - math.log(2)), rel=1e-12)


@given(st.lists(logit, min_size=2, max_size=6), st.integers(0, 100), st.floats(-100, 100))
def test_a_shift_of_all_logits_changes_nothing(values, pick, shift):
    labels, logits = torch.tensor([pick % len(values)]), torch.tensor([values]).double()
    for signal in (output.scaled_logit, output.loss, output.entropy, output.modified_entropy):
        moved = signal(logits + shift, labels).item()
        assert moved == pytest.approx(signal(logits, labels).item(), rel=1e-6, abs=1e-10)


@given(logit, logit)
def test_the_scaled_logit_of_two_classes_is_their_difference(a, b):
    logits = torch.tensor([[a, b]], dtype=torch.float64)
    assert output.scaled_logit(logits, torch.tensor([0])).item() == a - b
    assert output.scaled_logit(logits, torch.tensor([1])).item() == b - a


def test_the_public_scaled_logit_takes_arrays_and_lists():
    values = [[2.0, -1.0, 0.5], [1e4, -1e4, 0.0]]
    expected = output.scaled_logit(torch.tensor(values, dtype=torch.float64), torch.tensor([1, 0]))
    assert torch.equal(scaled_logit(np.array(values), np.array([1, 0])), expected)
    torch.testing.assert_close(scaled_logit(values, [1, 0]).double(), expected)


def test_loss_and_confidence_have_one_roc_and_rank_forgets_the_numbers():
    rng = torch.Generator().manual_seed(4)
    logits = 3 * torch.randn(400, 5, generator=rng, dtype=torch.float64)
    labels = torch.randint(5, (400,), generator=rng)
    logits[range(200), labels[:200]] += 1
    loss, sure = -output.loss(logits, labels).numpy(), output.confidence(logits, labels).numpy()
    assert auc(loss[:200], loss[200:]) == auc(sure[:200], sure[200:]) > 0.55
    for at in (0.01, 0.1):
        assert tpr_at_fpr(loss[:200], loss[200:], at) == tpr_at_fpr(sure[:200], sure[200:], at)
    cubed = output.rank(logits**3, labels)
    assert torch.equal(cubed, output.rank(logits, labels))
