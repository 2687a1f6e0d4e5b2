"""What the defense ``dp_sgd`` is made of, and a federation that trains with it."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from seepage.defenses import compose, dp_sgd, label_smoothing, mixup, perturbation
from seepage.federation import run, settings_of
from seepage.protocols import ClippedGradient, Defense
from seepage.records import Dataset, Split, UserError
from seepage.training import LocalTraining, claim, train

SIZES = (5, 12, 9)


@pytest.fixture
def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))


@pytest.fixture
def dataset():
    rng = torch.Generator().manual_seed(1)
    return Dataset(
        name="made up",
        inputs=torch.randn(30, 4, generator=rng),
        labels=torch.randint(0, 3, (30,), generator=rng),
        classes=3,
        n_train=None,
        mean=(0.0,),
        std=(1.0,),
        checksum="",
    )


def rounds(model, dataset, defense, number=3):
    edges = np.cumsum((0, *SIZES))
    clients = tuple(np.arange(a, b) for a, b in pairwise(edges))
    split = Split(clients=clients, held_out=np.arange(26, 30))
    settings = settings_of(rounds=number, batch_size=4, local_epochs=2)
    return list(run(model, dataset, split, settings, seed=3, defense=defense))


def test_its_defaults_and_what_it_hands_on():
    assert dp_sgd().gradient == ClippedGradient(norm=1.0, sigma=1.0)
    given = dp_sgd(clip=3.0, sigma=2.91, delta=1e-6).gradient
    assert given == ClippedGradient(norm=3.0, sigma=2.91, delta=1e-6)
    budget = dp_sgd(target_epsilon=4.0).gradient
    assert (budget.sigma, budget.epsilon) == (None, 4.0)
    assert dp_sgd(clip=math.inf, sigma=0.0) == Defense()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"clip": 0.0}, "clip > 0"),
        ({"clip": math.nan}, "clip > 0"),
        ({"delta": 1.0}, "delta in"),
        ({"sigma": -1.0}, "sigma >= 0"),
        ({"sigma": math.inf}, "sigma >= 0"),
        ({"clip": math.inf}, "must then be finite"),
        ({"sigma": 1.0, "target_epsilon": 1.0}, "got both, 1.0 and 1.0"),
        ({"target_epsilon": 0.0}, "positive and finite"),
        ({"clip": math.inf, "target_epsilon": 1.0}, "clip that is finite"),
    ],
)
def test_what_is_out_of_range_is_refused(wrong, words):
    with pytest.raises(UserError, match=words):
        dp_sgd(**wrong)


def test_every_client_of_a_federation_clips_by_itself(model, dataset):
    # without noise and momentum, one step moves a model by at most rate · clip · batch / expected
    first = rounds(model, dataset, dp_sgd(clip=1e-3, sigma=0.0), number=1)[0]
    plain = rounds(model, dataset, None, number=1)[0]
    for client, size in enumerate(SIZES):
        steps = 2 * math.ceil(size / 4)
        bound = 0.1 * 1e-3 * steps * size / min(4, size)
        assert 0 < moved(first, client) <= bound
        assert moved(plain, client) > bound


def moved(one, client):
    changes = [one.uploads[client][n] - one.start[n] for n in one.start]
    return math.sqrt(sum(float(change.square().sum()) for change in changes))


def test_a_federation_shares_its_budget_among_the_rounds(model, dataset):
    *_, final = rounds(model, dataset, dp_sgd(target_epsilon=3.0))
    local = LocalTraining(epochs=2, batch_size=4)
    for client, size in enumerate(SIZES):
        budget = ClippedGradient(norm=1.0, sigma=None, epsilon=3.0, rounds=3)
        told = claim(budget, local, size)
        assert told.steps == 3 * 2 * math.ceil(size / 4)
        assert 2.9 < told.epsilon <= 3.0
        rows = range(sum(SIZES[:client]), sum(SIZES[: client + 1]))
        again = train(
            model,
            final.start,
            {client: torch.tensor(rows)},
            dataset,
            local,
            learning_rate=0.1,
            seed=3,
            round_number=3,
            defense=dp_sgd(sigma=told.sigma),
        )
        for name in final.start:
            assert torch.equal(again[client][name], final.uploads[client][name])


def test_it_goes_with_a_loss_and_with_clipped_updates(model, dataset):
    one = compose(dp_sgd(sigma=0.1), label_smoothing(smoothing=0.2), perturbation(clip=0.01))
    assert one.gradient == dp_sgd(sigma=0.1).gradient
    *_, final = rounds(model, dataset, one)
    assert all(moved(final, client) <= 0.01 * (1 + 1e-5) for client in range(3))
    *_, other = rounds(model, dataset, dp_sgd(sigma=0.1))
    assert not all(torch.equal(final.after[n], other.after[n]) for n in final.after)


def test_it_does_not_go_with_itself_or_with_mixtures(model, dataset):
    with pytest.raises(UserError, match=r"at most one defense can .* gradient"):
        compose(dp_sgd(), dp_sgd())
    with pytest.raises(UserError, match="may mix their samples"):
        rounds(model, dataset, compose(dp_sgd(), mixup(alpha=1.0)))
