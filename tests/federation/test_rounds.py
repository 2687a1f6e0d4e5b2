"""The rounds against closed forms, a centralised step, and themselves resumed."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from seepage._rng import torch_child
from seepage.federation import run, settings_of
from seepage.protocols import Defense
from seepage.records import Split, UserError
from seepage.training import Plan

STACKED = Plan(kind="stacked", chunk=5)
ONE = Plan(kind="one_by_one")


def gradient(model, state, dataset, ids):
    """Mean gradient over ``ids`` at ``state``, in float64."""
    named = {n: p.double().requires_grad_() for n, p in state.items()}
    outputs = torch.func.functional_call(model.double(), named, (dataset.inputs[ids].double(),))
    loss = nn.functional.cross_entropy(outputs, dataset.labels[ids])
    grads = torch.autograd.grad(loss, list(named.values()))
    model.float()
    return dict(zip(named, grads, strict=True))


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def last(rounds):
    *_, final = rounds
    return final


@pytest.mark.parametrize("plan", [STACKED, ONE], ids=lambda p: p.kind)
@pytest.mark.parametrize("algorithm", ["fedavg", "fedsgd"])
def test_one_full_batch_step_makes_the_update_the_mean_gradient(
    mlp, dataset, split, algorithm, plan
):
    rate = 0.3
    size = 64 if algorithm == "fedavg" else 4
    settings = settings_of(rounds=1, algorithm=algorithm, batch_size=size, learning_rate=rate)
    (what,) = run(mlp, dataset, split, settings, seed=0, plan=plan)
    for k, ids in enumerate(split.clients):
        mean = gradient(mlp, what.start, dataset, ids)
        update = {n: (what.start[n] - what.uploads[k][n]).double() for n in what.start}
        for name in update:
            torch.testing.assert_close(update[name], rate * mean[name], atol=1e-7, rtol=1e-5)
        each = [gradient(mlp, what.start, dataset, ids[j : j + 1]) for j in range(len(ids))]
        products = [sum(float((g[n] * update[n]).sum()) for n in g) for g in each]
        squared = sum(float(u.square().sum()) for u in update.values())
        assert np.mean(products) == pytest.approx(squared / rate, rel=1e-4)
        assert np.mean(products) > 0  # the sign: start - upload goes along the members' gradients


@pytest.mark.parametrize("algorithm", ["fedavg", "fedsgd"])
def test_one_full_batch_round_is_one_centralised_step(mlp, dataset, split, algorithm):
    # weights n_k/N make the mean of client gradients the gradient over all, however unequal
    size = 64 if algorithm == "fedavg" else 4
    settings = settings_of(rounds=1, algorithm=algorithm, batch_size=size, learning_rate=0.3)
    (what,) = run(mlp, dataset, split, settings, seed=0, plan=STACKED)
    central = gradient(mlp, what.start, dataset, np.concatenate(split.clients))
    for name, before in what.start.items():
        expected = (before.double() - 0.3 * central[name]).float()
        torch.testing.assert_close(what.after[name], expected, atol=1e-6, rtol=1e-5)
    assert sum(what.weights.values()) == pytest.approx(1)
    assert what.weights[3] == pytest.approx(19 / 51)


def test_the_average_goes_by_client_whatever_the_order(mlp, dataset, split):
    settings = settings_of(rounds=3, batch_size=8, momentum=0.9)
    final = last(run(mlp, dataset, split, settings, seed=0, plan=STACKED))
    uploads, share = final.uploads, final.weights
    for name in final.after:
        mean = sum(share[k] * uploads[k][name].double() for k in reversed(uploads))
        torch.testing.assert_close(final.after[name], mean.float(), rtol=1e-6, atol=1e-7)


def test_one_client_without_a_defense_is_plain_sgd(mlp, dataset):
    split = Split(clients=(np.arange(30),), held_out=np.arange(30, 60))
    settings = settings_of(rounds=3, batch_size=8, learning_rate=0.1, schedule="exponential")
    final = last(run(mlp, dataset, split, settings, seed=9))
    for number in range(1, 4):
        optimizer = torch.optim.SGD(mlp.parameters(), lr=0.1 * 0.99 ** (number - 1))
        rng = torch_child(9, "client", 0, "round", number, "epoch", 0)
        for batch in torch.randperm(30, generator=rng).split(8):
            optimizer.zero_grad()
            outputs = mlp(dataset.inputs[batch])
            nn.functional.cross_entropy(outputs, dataset.labels[batch]).backward()
            optimizer.step()
    for name, expected in mlp.named_parameters():
        torch.testing.assert_close(final.after[name], expected.detach(), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("plan", [STACKED, ONE], ids=lambda p: p.kind)
def test_ten_rounds_are_four_and_six_bit_for_bit(mlp, dataset, split, plan):
    defense = Defense(update=noisy, server=noisy)
    settings = settings_of(
        rounds=10, batch_size=8, momentum=0.9, participation=0.6, schedule="cosine"
    )
    arguments = {"seed": 2, "plan": plan, "defense": defense}
    straight = list(run(mlp, dataset, split, settings, **arguments))
    rounds = run(mlp, dataset, split, settings, **arguments)
    state = [next(rounds) for _ in range(4)][-1].after
    resumed = list(run(mlp, dataset, split, settings, start=state, first_round=5, **arguments))
    assert [what.number for what in resumed] == [5, 6, 7, 8, 9, 10]
    for one, other in zip(straight[4:], resumed, strict=True):
        assert equal(one.after, other.after)
        assert one.learning_rate == other.learning_rate
        assert one.uploads.keys() == other.uploads.keys()


def noisy(change, turn):
    return {n: c + 0.01 * torch.randn(c.shape, generator=turn.rng) for n, c in change.items()}


def test_another_seed_gives_another_run(mlp, dataset, split):
    settings = settings_of(rounds=1, batch_size=8)
    one, other = (last(run(mlp, dataset, split, settings, seed=s)) for s in (1, 2))
    assert not equal(one.after, other.after)


def test_plans_agree_up_to_rounding(mlp, dataset, split):
    settings = settings_of(rounds=5, batch_size=8, momentum=0.9, weight_decay=1e-3)
    plans = [STACKED, Plan(kind="stacked", chunk=2), ONE]
    first, *others = (last(run(mlp, dataset, split, settings, seed=1, plan=p)) for p in plans)
    for other in others:
        for name in first.after:
            torch.testing.assert_close(first.after[name], other.after[name], atol=1e-5, rtol=0)


def test_without_an_update_hook_the_uploads_are_what_was_trained(mlp, dataset, split):
    settings = settings_of(rounds=2, batch_size=8)
    plain = last(run(mlp, dataset, split, settings, seed=1))
    assert plain.uploads is plain.raw_uploads
    noised = last(run(mlp, dataset, split, settings, seed=1, defense=Defense(update=noisy)))
    for k in noised.uploads:
        assert not equal(noised.uploads[k], noised.raw_uploads[k])


def test_the_hooks_see_changes_and_their_own_generators(mlp, dataset, split):
    heard = []

    def listen(change, turn):
        heard.append((change, turn.rng.initial_seed()))
        return {n: 0.5 * c for n, c in change.items()}

    settings = settings_of(rounds=1, batch_size=8)
    defense = Defense(update=listen, server=listen)
    (what,) = run(mlp, dataset, split, settings, seed=1, defense=defense)
    assert len(heard) == 6
    assert len({seed for _, seed in heard}) == 6
    assert heard[2][1] == torch_child(1, "defense", 2, 1).initial_seed()
    for name, old in what.start.items():
        change = what.raw_uploads[2][name] - old
        assert torch.equal(heard[2][0][name], change)
        assert torch.equal(what.uploads[2][name], old + 0.5 * change)
        mean = sum(w * what.uploads[k][name].double() for k, w in what.weights.items())
        expected = old + 0.5 * (mean.float() - old)
        torch.testing.assert_close(what.after[name], expected, rtol=1e-5, atol=1e-7)


def test_a_hook_that_hands_back_what_it_got_changes_no_bit(mlp, dataset, split):
    settings = settings_of(rounds=3, batch_size=8)
    same = Defense(update=lambda change, turn: dict(change), server=lambda change, turn: change)
    one = last(run(mlp, dataset, split, settings, seed=1))
    other = last(run(mlp, dataset, split, settings, seed=1, defense=same))
    assert equal(one.after, other.after)


def test_a_hook_that_loses_a_parameter_is_refused(mlp, dataset, split):
    lossy = Defense(update=lambda change, turn: {"0.bias": change["0.bias"]})
    with pytest.raises(UserError, match="every parameter"):
        list(run(mlp, dataset, split, settings_of(rounds=1), seed=1, defense=lossy))


def test_part_of_the_clients_share_all_the_weight(mlp, dataset, split):
    settings = settings_of(rounds=4, batch_size=8, participation=0.4)
    for what in run(mlp, dataset, split, settings, seed=1):
        assert len(what.uploads) == 2
        assert what.weights.keys() == what.uploads.keys()
        sizes = {k: len(split.clients[k]) for k in what.uploads}
        assert what.weights == pytest.approx({k: n / sum(sizes.values()) for k, n in sizes.items()})


def test_a_client_trains_alike_whoever_else_is_drawn(mlp, dataset, split):
    settings = settings_of(rounds=1, batch_size=8, participation=0.4)
    (some,) = run(mlp, dataset, split, settings, seed=1, plan=ONE)
    (everyone,) = run(mlp, dataset, split, replace(settings, participation=1.0), seed=1, plan=ONE)
    for k in some.uploads:
        assert equal(some.uploads[k], everyone.uploads[k])


def test_what_cannot_be_run_is_refused_at_once(mlp, dataset, split):
    settings = settings_of(rounds=2)
    empty = Split(clients=(split.clients[0], np.arange(0)), held_out=split.held_out)
    with pytest.raises(UserError, match="client 1 has none"):
        run(mlp, dataset, empty, settings, seed=1)
    with pytest.raises(UserError, match="no client"):
        run(mlp, dataset, Split(clients=(), held_out=split.held_out), settings, seed=1)
    with pytest.raises(UserError, match="from round 2 needs"):
        run(mlp, dataset, split, settings, seed=1, first_round=2)


class Here:
    """An executor that runs in this process and keeps count."""

    def __init__(self):
        self.sent = 0

    def submit(self, function, argument):
        self.sent += 1
        done = function(argument)
        return type("Done", (), {"result": lambda self: done})()


def test_an_executor_that_is_handed_in_is_used(mlp, dataset, split):
    settings = settings_of(rounds=3, batch_size=8)
    executor, plan = Here(), Plan(kind="processes")
    there = last(run(mlp, dataset, split, settings, seed=1, plan=plan, executor=executor))
    here = last(run(mlp, dataset, split, settings, seed=1, plan=ONE))
    assert executor.sent == 15
    assert equal(there.after, here.after)
