"""The independent classifier: what it learned from, what it answers, and that nobody helps it."""

import numpy as np
import pytest
import torch

from seepage.data import load
from seepage.inversion import evaluator as module
from seepage.inversion import train_evaluator
from seepage.records import Dataset, UserError


def dataset(inputs, labels, classes, *, mean=(0.0,), std=(1.0,)):
    return Dataset(
        name="made",
        inputs=inputs,
        labels=labels,
        classes=classes,
        n_train=None,
        mean=mean,
        std=std,
        checksum="",
    )


def table(seed, n, width=5, classes=3):
    rng = torch.Generator().manual_seed(seed)
    inputs = torch.randn(n, width, generator=rng)
    return dataset(inputs, torch.arange(n) % classes, classes)


@pytest.fixture(scope="module")
def digits():
    data = load("digits")
    return data, np.random.default_rng(0).permutation(len(data))


@pytest.fixture(scope="module")
def on_digits(digits):
    data, order = digits
    return train_evaluator(data, order[:500], seed=0)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(module, "STEPS", 1)


@pytest.fixture
def spied(monkeypatch, quick):
    """The arguments that the training loop was called with."""
    calls, train = [], module.train

    def spy(*args, **kwargs):
        calls.append((args, kwargs))
        return train(*args, **kwargs)

    monkeypatch.setattr(module, "train", spy)
    return calls


def test_digits_are_recognised_and_the_accuracy_holds_elsewhere(on_digits, digits):
    data, order = digits
    rest = order[500:]
    elsewhere = np.mean(on_digits.predict(data.inputs[rest]) == data.labels[rest].numpy())
    assert on_digits.accuracy >= 0.93
    assert elsewhere >= 0.93
    assert on_digits.accuracy == pytest.approx(elsewhere, abs=0.05)


def test_answers_agree_with_each_other(on_digits, digits):
    inputs = digits[0].inputs[:70]
    shares, features = on_digits.probabilities(inputs), on_digits.features(inputs)
    assert (shares.shape, shares.dtype) == ((70, 10), np.float64)
    assert (features.shape, features.dtype) == ((70, 64), np.float64)
    assert np.allclose(shares.sum(1), 1, atol=1e-12)
    said = on_digits.predict(inputs)
    assert said.dtype == np.int64
    assert np.array_equal(said, shares.argmax(1))
    last = on_digits.model[1]
    logits = features @ last.weight.detach().double().numpy().T + last.bias.detach().numpy()
    odds = np.exp(logits - logits.max(1, keepdims=True))
    assert np.allclose(odds / odds.sum(1, keepdims=True), shares, atol=1e-5)


def test_an_answer_does_not_depend_on_the_others_asked_with_it(on_digits, digits, monkeypatch):
    inputs = digits[0].inputs[:50]
    whole = on_digits.features(inputs)
    alone = np.concatenate([on_digits.features(inputs[i : i + 1]) for i in range(5)])
    assert np.allclose(alone, whole[:5], atol=1e-5)
    monkeypatch.setattr(module, "ANSWERS", 7)
    assert np.allclose(on_digits.features(inputs), whole, atol=1e-5)


def test_a_fifth_of_every_class_is_held_back(spied):
    data = table(0, 90)
    rows = np.r_[0:12, 30:90]
    made = train_evaluator(data, rows, seed=1)
    (_, _, shards, *_), _ = spied[0]
    held_back = np.setdiff1d(rows, shards[0])
    counts = np.bincount(data.labels[rows], minlength=3)
    assert np.array_equal(np.bincount(data.labels[held_back]), counts // 5)
    assert set(shards[0]) < set(rows)
    assert (made.trained, made.tested) == (len(shards[0]), len(held_back))
    right = made.predict(data.inputs[held_back]) == data.labels[held_back].numpy()
    assert made.accuracy == np.mean(right)


def test_learning_by_heart_earns_no_accuracy():
    data = table(0, 400, width=40, classes=2)  # labels that inputs say nothing of
    made = train_evaluator(data, np.arange(400), seed=0)
    learned = np.mean(made.predict(data.inputs) == data.labels.numpy())
    assert learned >= 0.8  # four fifths by heart
    assert 0.3 <= made.accuracy <= 0.7


def test_the_same_records_and_seed_give_the_same_evaluator(quick):
    data, rows = table(0, 60), np.arange(5, 55)

    def made(rows, seed):
        return train_evaluator(data, rows, seed=seed).features(data.inputs)

    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    first = made(rows, 3)
    assert torch.equal(before, torch.random.get_rng_state())
    assert np.array_equal(first, made([*rows[::-1], 7], 3))
    assert not np.allclose(first, made(rows, 4))
    assert not np.allclose(first, made(rows[:-1], 3))


def test_classes_narrow_what_it_learns_and_says(spied):
    data = table(0, 80, classes=4)
    made = train_evaluator(data, np.arange(80), seed=0, classes=[3, 1])
    (_, _, shards, *_), _ = spied[0]
    assert set(data.labels[shards[0]].tolist()) == {1, 3}
    assert made.classes == (1, 3)
    assert (made.trained, made.tested) == (32, 8)
    shares = made.probabilities(data.inputs)
    assert np.all(shares[:, [0, 2]] == 0)
    assert np.all(shares[:, [1, 3]] > 0)
    assert np.allclose(shares.sum(1), 1)
    assert set(made.predict(data.inputs)) <= {1, 3}


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 8, 8), (2, 40, 17), (1, 3, 5)])
def test_images_of_any_size(shape, quick):
    inputs = torch.randn(20, *shape, generator=torch.Generator().manual_seed(0))
    made = train_evaluator(dataset(inputs, torch.arange(20) % 2, 2), np.arange(20), seed=0)
    assert made.features(inputs).shape == (20, 64)
    assert len(made.predict(inputs[:0])) == 0


@pytest.mark.parametrize(("side", "most"), [(8, 1), (28, 2), (32, 2)])
def test_batches_are_shifted_and_what_comes_in_is_black(spied, side, most):
    mean, std = (0.5, 0.2), (0.25, 0.5)
    images = torch.arange(10.0 * 2 * side * side).reshape(10, 2, side, side) + 10
    data = dataset(images, torch.arange(10) % 2, 2, mean=mean, std=std)
    train_evaluator(data, np.arange(10), seed=0)
    hook = spied[0][1]["defense"].batch
    rng, seen = torch.Generator().manual_seed(0), set()
    for _ in range(200):
        shifted, targets = hook(images, data.labels, rng)
        assert torch.equal(targets, data.labels)
        middle = int(shifted[0, 0, side // 2, side // 2]) - 10
        down, right = middle // side - side // 2, middle % side - side // 2
        seen.add((down, right))
        expected = torch.tensor([-2.0, -0.4]).view(-1, 1, 1).expand_as(images).clone()
        kept = [slice(max(0, -by), side - max(0, by)) for by in (down, right)]
        source = [slice(max(0, by), side + min(0, by)) for by in (down, right)]
        expected[:, :, *kept] = images[:, :, *source]
        assert torch.allclose(shifted, expected, atol=1e-3)
    reach = range(-most, most + 1)
    assert seen == {(down, right) for down in reach for right in reach}


def test_tables_are_not_shifted(spied):
    train_evaluator(table(0, 30), np.arange(30), seed=0)
    assert spied[0][1]["defense"] is None


def test_what_cannot_be_trained_is_refused():
    data = table(0, 30)
    with pytest.raises(UserError, match="at least 5 records of every class, got 4 of class 0"):
        train_evaluator(data, np.arange(3, 15), seed=0, classes=None)
    with pytest.raises(UserError, match="got 0 of class 2"):
        train_evaluator(data, np.flatnonzero(data.labels < 2), seed=0)
    with pytest.raises(UserError, match="got 0 of class 0"):
        train_evaluator(data, [], seed=0)
    with pytest.raises(UserError, match="among the 30 of made, got 29 to 30"):
        train_evaluator(data, [30, 29], seed=0)
    for classes in ([1], [0, 3], [-1, 0]):
        with pytest.raises(UserError, match="numbered 0 to 2"):
            train_evaluator(data, np.arange(30), seed=0, classes=classes)
