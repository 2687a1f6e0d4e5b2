"""What a participant learns of images."""

import pytest
import torch
from torch import nn
from torch.func import functional_call

from seepage.insiders import classifier
from seepage.insiders.classifier import learn
from seepage.records import UserError
from seepage.states import state_of


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 2))


def halves(count, seed=0):
    """Images bright on the left (class 0) or on the right (class 1)."""
    labels = torch.arange(count) % 2
    images = 0.1 * torch.randn(count, 1, 8, 8, generator=rng(seed))
    images[labels == 0, :, :, :4] += 1
    images[labels == 1, :, :, 4:] += 1
    return images, labels


@pytest.mark.parametrize("drawn", [False, True])
def test_it_tells_what_it_was_shown(drawn):
    model, (images, labels) = network(), halves(200)
    before = [p.clone() for p in model.parameters()]
    state = learn(model, images, labels, seed=0, role="test", drawn=drawn)
    others, truth = halves(100, seed=7)
    assert (functional_call(model, state, (others,)).argmax(1) == truth).float().mean() > 0.95
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_the_same_seed_learns_the_same_and_another_another():
    model, (images, labels) = network(), halves(60)
    one, two, three = (
        learn(model, images, labels, seed=s, role="test", drawn=True) for s in (0, 0, 1)
    )
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not all(torch.equal(one[name], three[name]) for name in one)


def test_drawn_images_bring_changed_copies_and_records_do_not(monkeypatch):
    seen = []
    monkeypatch.setattr(
        classifier,
        "train",
        lambda model, start, shards, samples, *args, **kw: (seen.append(samples), {0: start})[1],
    )
    images, labels = halves(10)
    learn(network(), images, labels, seed=0, role="test")
    learn(network(), images, labels, seed=0, role="test", drawn=True)
    assert torch.equal(seen[0].inputs, images)
    assert torch.equal(seen[1].inputs[:10], images)
    assert torch.equal(seen[1].labels, labels.repeat(1 + classifier.COPIES))
    assert len(seen[1].inputs) == 10 * (1 + classifier.COPIES)


@pytest.mark.parametrize("count", [51, 50, 2451, 1 + 50 * 49 * 48])
def test_no_image_is_left_alone_in_a_batch_that_is_normalised(count):
    normalised = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.BatchNorm1d(4))
    for model, alone in ((normalised, False), (network(), True)):
        size = classifier._settings(model, count).batch_size
        assert (count % size == 1) <= alone
        assert size == 50 or not alone


def test_learning_twice_gives_the_same_and_leaves_the_statistics_alone():
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.BatchNorm1d(4))
    images, labels = halves(51)
    before = state_of(model)
    one, two = (learn(model, images, labels, seed=0, role="test") for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert all(torch.equal(before[name], value) for name, value in state_of(model).items())
    assert model.training


def test_a_training_that_diverges_is_an_error(monkeypatch):
    monkeypatch.setattr(classifier, "LEARNING_RATE", 1e30)
    images, labels = halves(60)
    with pytest.raises(UserError, match="diverged"):
        learn(network(), images, labels, seed=0, role="test")
