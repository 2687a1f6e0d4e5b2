"""Federations of networks with batch normalisation: what the layers noted is sent as well."""

import numpy as np
import pytest
import torch
from torch import nn

from seepage.federation import Federation, aggregate, evaluate, run
from seepage.protocols import Defense, NoisedUpdate
from seepage.records import Split, UserError
from seepage.states import place, running_statistics, state_of
from seepage.training import LocalTraining, Plan, train

STATISTICS = {"1.running_mean", "1.running_var", "1.num_batches_tracked"}
LOCAL = LocalTraining(batch_size=5)
SETTINGS = Federation(rounds=2, local=LOCAL, learning_rate=0.1)


@pytest.fixture
def network():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3))


@pytest.fixture
def clients():
    """7, 15 and 20 records: no batch of 5 leaves one alone."""
    return Split(clients=tuple(np.split(np.arange(42), [7, 22])), held_out=np.arange(42, 60))


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def test_a_round_is_the_weighted_mean_of_parameters_and_statistics(network, dataset, clients):
    (first, _) = run(network, dataset, clients, SETTINGS, seed=3)
    shards = dict(enumerate(clients.clients))
    alone = train(
        network, state_of(network), shards, dataset, SETTINGS.local, learning_rate=0.1, seed=3,
        round_number=1,
    )  # fmt: skip
    assert set(first.after) - {name for name, _ in network.named_parameters()} == STATISTICS
    for name in first.after:
        mean = sum(len(rows) / 42 * alone[k][name].double() for k, rows in shards.items())
        if name == "1.num_batches_tracked":
            assert first.after[name] == 3  # of 2, 3 and 4 batches, weighed
            assert first.after[name].dtype == torch.int64
        else:
            torch.testing.assert_close(first.after[name].double(), mean, rtol=1e-6, atol=1e-7)
    assert same(state_of(network), first.start), "the architecture's own are left alone"


def test_clients_go_on_from_the_mean_statistics(network, dataset, clients):
    """From a mean of 7 batches each notes as many more as it sees."""
    start = state_of(network) | {"1.num_batches_tracked": torch.tensor(7)}
    (only,) = run(network, dataset, clients, Federation(rounds=1, local=LOCAL), seed=0, start=start)
    assert [int(sent["1.num_batches_tracked"]) for sent in only.uploads.values()] == [9, 10, 11]


@pytest.mark.parametrize("plan", [Plan(kind="one_by_one"), Plan(kind="processes", workers=1)])
def test_a_run_that_goes_on_gives_the_same_bits(network, dataset, clients, plan):
    first, second = run(network, dataset, clients, SETTINGS, seed=3)
    (again,) = run(
        network, dataset, clients, SETTINGS, seed=3, start=first.after, first_round=2, plan=plan
    )
    assert same(again.after, second.after)


def test_defenses_on_updates_and_on_the_mean_act_on_parameters(network, dataset, clients):
    seen = []

    def nothing(change, turn):
        seen.append(set(change))
        return {name: 0 * value for name, value in change.items()}

    (plain, _) = run(network, dataset, clients, SETTINGS, seed=3)
    for defense in (Defense(update=nothing), Defense(server=nothing)):
        (first, _) = run(network, dataset, clients, SETTINGS, seed=3, defense=defense)
        for name in first.after:
            expected = plain.after if name in STATISTICS else first.start
            assert torch.equal(first.after[name], expected[name]), name
    assert len(seen) == 2 * 3 + 2
    assert all(names == {n for n, _ in network.named_parameters()} for names in seen)


def test_noise_that_would_not_cover_them_is_refused(network, dataset, clients):
    defense = Defense(
        update=lambda change, turn: change, noise=NoisedUpdate(clip=1.0, sigma=1.0, where="client")
    )
    with pytest.raises(UserError, match=r"'1' .BatchNorm1d. keeps.*past this defense's clipping"):
        next(run(network, dataset, clients, SETTINGS, seed=3, defense=defense))


def test_a_state_is_evaluated_with_its_own_statistics(network, dataset):
    state = state_of(network) | {"1.running_mean": torch.full((8,), 5.0)}
    found = evaluate(network, state, dataset.inputs, dataset.labels)
    place(network, state)
    logits = network.eval()(dataset.inputs).detach()
    assert found.loss == pytest.approx(float(nn.functional.cross_entropy(logits, dataset.labels)))
    assert evaluate(network, state_of(network), dataset.inputs, dataset.labels) == found


def test_a_state_is_a_copy_in_the_order_of_the_parameters(network):
    state = state_of(network)
    assert list(state)[:-3] == [name for name, _ in network.named_parameters()]
    assert set(list(state)[-3:]) == STATISTICS == set(running_statistics(network))
    state["0.weight"].zero_()
    assert network[0].weight.abs().sum() > 0


def test_whole_numbers_are_rounded_in_a_mean():
    sent = {k: {"count": torch.tensor(count)} for k, count in enumerate((5, 5, 5))}
    assert aggregate(sent, {0: 0.1, 1: 0.2, 2: 0.7})["count"] == 5
    sent[0] = {"count": torch.tensor(9)}
    assert aggregate(sent, {0: 0.5, 1: 0.25, 2: 0.25})["count"] == 7
