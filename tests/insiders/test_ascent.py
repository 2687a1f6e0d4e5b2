"""A participant that climbs: the step in closed form, when it is taken, who comes down again."""

import pickle
from functools import cache

import numpy as np
import pytest
import torch
from by_heart import (
    CLASSES,
    OWNER,
    STACKED,
    WIDTH,
    candidates,
    equal,
    federation,
    losses,
    network,
    told_apart,
)
from torch import nn

from seepage.federation import aggregate
from seepage.insiders import ascending
from seepage.insiders.ascent import Ascent
from seepage.protocols import Defense
from seepage.records import UserError
from seepage.states import place, running_statistics, state_of

HELD_OUT, MEMBER = OWNER < 0, OWNER > 0
EVERY = frozenset(range(1, 11))


def climbing(clients=(0,), *, seed=0, rate=0.5, steps=1, rounds=EVERY):
    inputs, labels = candidates(seed)
    return ascending(
        clients, inputs, labels, rate=rate, steps=steps, rounds=rounds, model=network(seed)
    )


def ascent(model=None, **changes):
    inputs, labels = candidates()
    given = {"model": model or network(), "inputs": inputs, "labels": labels, "rate": 0.5}
    return Ascent(**(given | {"steps": 1, "rounds": frozenset({2})} | changes))


def start_of(model):
    return {n: p.detach().clone() for n, p in model.named_parameters()}


# --- the step ---------------------------------------------------------------------------------


def test_statistics_are_read_and_not_raised():
    """The gradient of the parameters alone, of a network that answers with what was sent."""
    model = nn.Sequential(nn.Linear(WIDTH, 6), nn.BatchNorm1d(6), nn.Linear(6, CLASSES))
    climb = ascent(model)
    start = state_of(model) | {"1.running_mean": torch.full((6,), 0.5)}
    raised = climb.raised(start, 2)
    for name in running_statistics(model):
        assert torch.equal(raised[name], start[name])
    place(model.eval(), start)
    nn.functional.cross_entropy(model(climb.inputs), climb.labels).backward()
    for name, parameter in model.named_parameters():
        expected = start[name] + 0.5 * parameter.grad
        torch.testing.assert_close(raised[name], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("batch", [1024, 17])
def test_a_step_is_the_gradient_of_the_mean_loss_in_closed_form(monkeypatch, batch):
    monkeypatch.setattr("seepage.insiders.ascent.BATCH", batch)  # 120 candidates: 17 leaves 1
    model = nn.Linear(WIDTH, CLASSES)
    climb, start = ascent(model), start_of(model)
    raised = climb.raised(start, 2)
    x, y = climb.inputs.double(), nn.functional.one_hot(climb.labels, CLASSES).double()
    answers = x @ start["weight"].double().T + start["bias"].double()
    slope = (answers.softmax(1) - y) / len(x)
    for name, gradient in {"weight": slope.T @ x, "bias": slope.sum(0)}.items():
        expected = start[name].double() + 0.5 * gradient
        torch.testing.assert_close(raised[name], expected.float(), atol=1e-6, rtol=1e-5)
        assert torch.equal(start[name], getattr(model, name))  # what was given is left as it was


def test_several_steps_are_one_after_the_other():
    start = start_of(network())
    one = ascent()
    expected = one.raised(one.raised(one.raised(start, 2), 2), 2)
    assert equal(ascent(steps=3).raised(start, 2), expected)
    assert not equal(one.raised(start, 2), expected)


def test_another_round_takes_no_step():
    start = start_of(network())
    assert ascent().raised(start, 1) is start


@pytest.mark.parametrize("training", [True, False])
def test_it_climbs_in_evaluation_mode_and_leaves_the_mode_as_it_was(training):
    model = network(0, nn.Dropout(0.5)).train(training)
    start = start_of(model)
    plain = network(0)
    named = dict(zip(start_of(plain), start.values(), strict=True))
    raised, expected = ascent(model).raised(start, 2), ascent(plain).raised(named, 2)
    for one, other in zip(raised.values(), expected.values(), strict=True):
        assert torch.equal(one, other)
    assert model.training is training


@pytest.mark.parametrize(
    "changes",
    [
        {"rate": 0.0},
        {"rate": float("inf")},
        {"rate": float("nan")},
        {"steps": 0},
        {"labels": torch.zeros(3, dtype=torch.int64)},
        {"inputs": torch.zeros(0, WIDTH), "labels": torch.zeros(0, dtype=torch.int64)},
    ],
    ids=lambda changes: " ".join(changes),
)
def test_what_cannot_be_climbed_is_refused(changes):
    with pytest.raises(UserError, match="gradient ascent needs"):
        ascent(**changes)


def test_a_climb_that_diverges_names_round_and_rate():
    with pytest.raises(UserError, match=r"round 3: gradient ascent diverged .* rate 1e\+38\b"):
        federation(climbing(rate=1e38, steps=9, rounds=frozenset({3})), rounds=3)


# --- when it is taken -------------------------------------------------------------------------


def halved_loss(logits, targets):
    return -(targets * logits.log_softmax(1)).sum(1) / 2


@pytest.mark.parametrize("defense", [None, Defense(loss=halved_loss)], ids=["none", "loss"])
def test_a_climb_that_never_comes_is_no_insider_bit_for_bit(defense):
    settings = {"rounds": 3, "participation": 0.75, "defense": defense}
    honest = federation(**settings)
    inside = federation(climbing((0, 2), rounds=frozenset({9})), **settings)
    for one, other in zip(honest, inside, strict=True):
        assert equal(one.after, other.after)
        assert all(equal(one.uploads[k], other.uploads[k]) for k in one.uploads)


def test_it_is_honest_until_its_round_and_climbs_from_honest_training_there():
    honest = federation(rounds=2)
    inside = federation(climbing((2, 0), rounds=frozenset({2, 3})), rounds=3)
    assert equal(honest[0].after, inside[0].after)
    for k in range(4):
        trained, sent = honest[1].uploads[k], inside[1].uploads[k]
        assert equal(sent, ascent().raised(trained, 2) if k in (0, 2) else trained)
    for what in inside:
        assert equal(what.after, aggregate(what.uploads, what.weights))
        assert set(what.weights) == {0, 1, 2, 3}


def test_what_it_sends_passes_the_defense():
    def halve(change, turn):
        return {n: c / 2 for n, c in change.items()}

    plain = federation(climbing(), rounds=1)[0]
    halved = federation(climbing(), rounds=1, defense=Defense(update=halve))[0]
    assert equal(halved.raw_uploads[0], plain.uploads[0])
    for name, old in plain.start.items():
        torch.testing.assert_close(halved.uploads[0][name], (old + plain.uploads[0][name]) / 2)


def test_it_can_be_sent_to_another_process():
    there = pickle.loads(pickle.dumps(climbing()))
    one, other = (federation(who, rounds=2)[-1] for who in (climbing(), there))
    assert equal(one.after, other.after)


# --- who comes down again ---------------------------------------------------------------------


@cache
def run_of(seed, rate):
    """Mean loss of each candidate over the rounds: the insider's upload, the global model."""
    who = climbing(seed=seed, rate=rate) if rate else None
    rounds = federation(who, seed=seed, plan=STACKED, epochs=3, learning_rate=0.1)
    own = np.mean([losses(what.uploads[0], seed) for what in rounds], axis=0)
    return own, np.mean([losses(what.after, seed) for what in rounds], axis=0)


def mean_auc(score_of, these, those):
    """The mean of three seeds, and its standard error where both are alike."""
    found = [told_apart(score_of(seed), these, those) for seed in range(3)]
    return np.mean([area for area, _ in found]), found[0][1] / np.sqrt(3)


def test_the_climb_raises_what_it_is_on():
    for seed in range(3):
        own, honest = run_of(seed, 0.5)[0], run_of(seed, 0.0)[0]
        assert own.mean() > honest.mean() + 0.05
        assert run_of(seed, 0.5)[1].mean() > run_of(seed, 0.0)[1].mean()


def test_members_are_raised_less_in_the_global_model():
    def spared(seed):
        return run_of(seed, 0.0)[1] - run_of(seed, 0.5)[1]

    area, error = mean_auc(spared, MEMBER, HELD_OUT)
    assert area > 0.8 > 0.5 + 4 * error


def test_after_a_small_step_members_fall_back_further():
    def fall(seed):
        own, left = run_of(seed, 0.05)
        return own - left

    area, error = mean_auc(fall, MEMBER, HELD_OUT)
    assert area > 0.5 + 4 * error


def test_a_large_step_drowns_how_far_they_fall():
    def fall(rate, seed):
        own, left = run_of(seed, rate)
        return own - left

    small, large = (mean_auc(lambda s, r=r: fall(r, s), MEMBER, HELD_OUT)[0] for r in (0.05, 0.5))
    assert large < small - 0.1


@pytest.mark.parametrize("rate", [0.05, 0.5])
def test_records_that_nobody_holds_are_not_told_apart(rate):
    even = np.arange(len(OWNER)) % 2 == 0
    for score in (
        lambda seed: run_of(seed, rate)[0] - run_of(seed, rate)[1],
        lambda seed: run_of(seed, 0.0)[1] - run_of(seed, rate)[1],
    ):
        area, error = mean_auc(score, HELD_OUT & even, HELD_OUT & ~even)
        assert abs(area - 0.5) < 4 * error
