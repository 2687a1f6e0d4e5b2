"""What changes from epoch to epoch: order, step size, the optimizer's memory, and what is kept."""

import copy
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seepage._rng import torch_child
from seepage.protocols import Defense
from seepage.records import UserError
from seepage.training import LocalTraining, Plan, train
from seepage.training.local import Job
from seepage.training.pace import Pace

PLANS = [Plan(kind="stacked", chunk=5), Plan(kind="stacked", chunk=2), Plan(kind="one_by_one")]
FOUR = LocalTraining(epochs=4, batch_size=8, momentum=0.9, weight_decay=0.01)
DROPS = {"schedule": "milestones", "milestones": (1, 3), "decay": 0.3}
SETTINGS = {
    "milestones": replace(FOUR, **DROPS),
    "cosine": replace(FOUR, schedule="cosine"),
    "restart": replace(FOUR, restart_each_epoch=True),
    "order": replace(FOUR, shuffle=False),
    "everything": replace(FOUR, **DROPS, restart_each_epoch=True, shuffle=False),
    "plain sgd, cosine": LocalTraining(epochs=3, batch_size=8, schedule="cosine"),
    "adam, cosine": LocalTraining(
        epochs=3, batch_size=8, optimizer="adam", weight_decay=0.1, schedule="cosine"
    ),
    "adam, restart": LocalTraining(
        epochs=3, batch_size=8, optimizer="adam", weight_decay=0.1, restart_each_epoch=True
    ),
    "adamw, both": LocalTraining(
        epochs=4, batch_size=8, optimizer="adamw", **DROPS, restart_each_epoch=True
    ),
}
ARGUMENTS = {"learning_rate": 0.05, "seed": 5}


@pytest.fixture
def validation():
    rng = torch.Generator().manual_seed(8)
    return SimpleNamespace(
        inputs=torch.randn(40, 6, generator=rng),
        labels=torch.randint(0, 3, (40,), generator=rng),
        classes=3,
    )


def assert_close(one, other, atol=1e-5):
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], atol=atol, rtol=1e-5)


@pytest.mark.parametrize("plan", PLANS, ids=["stacked", "stacked by two", "one_by_one"])
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_every_epoch_is_that_of_a_plain_loop(
    mlp, samples, shards, start_of, plain_loop, settings, plan
):
    trained = train(mlp, start_of(mlp), shards, samples, settings, plan=plan, **ARGUMENTS)
    for k, rows in shards.items():
        assert_close(trained[k], plain_loop(mlp, rows, samples, settings, member=k, **ARGUMENTS))


@pytest.mark.parametrize("name", ["milestones", "cosine", "restart", "order"])
def test_each_of_them_changes_something(mlp, samples, shards, start_of, name):
    with_it, without = (
        train(mlp, start_of(mlp), {3: shards[3]}, samples, settings, **ARGUMENTS)[3]
        for settings in (SETTINGS[name], FOUR)
    )
    assert (with_it["0.weight"] - without["0.weight"]).abs().max() > 1e-3


def test_factors_by_hand():
    drops = LocalTraining(epochs=5, schedule="milestones", milestones=(2, 4))
    assert [drops.factor(e) for e in range(5)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])
    cosine = LocalTraining(epochs=3, schedule="cosine")
    half = math.sqrt(2) / 4
    assert [cosine.factor(e) for e in range(3)] == pytest.approx([1, 0.5 + half, 0.5])
    assert {FOUR.factor(e) for e in range(4)} == {1.0}


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=6),
    st.integers(1, 3),
    st.booleans(),
    st.sampled_from([{}, {"schedule": "cosine"}, DROPS]),
)
def test_runs_say_of_each_model_what_it_would_say_alone(sizes, epochs, restart, schedule):
    settings = LocalTraining(epochs=epochs, batch_size=8, restart_each_epoch=restart, **schedule)
    job = Job(settings=settings, learning_rate=0.5, seed=0)
    sizes = sorted(sizes, key=settings.steps, reverse=True)
    pace = Pace(job, sizes)
    for number in range(settings.steps(sizes[0])):
        active = sum(number < settings.steps(size) for size in sizes)
        runs = pace.runs(number, active)
        assert [run.first for run in runs] == [0, *(run.last for run in runs[:-1])]
        assert runs[-1].last == active
        ended = pace.ended(number, active)
        for model in range(active):
            epoch, batch = divmod(number, -(-sizes[model] // 8))
            (own,) = (run for run in runs if run.first <= model < run.last)
            assert own.rate == 0.5 * settings.factor(epoch)
            assert own.age == 1 + (batch if restart else number)
            assert (model in ended) == (batch + 1 == -(-sizes[model] // 8))


@pytest.mark.parametrize("plan", PLANS, ids=["stacked", "stacked by two", "one_by_one"])
@pytest.mark.parametrize("name", ["cosine", "adam, restart", "everything"])
def test_the_best_epoch_is_the_first_of_the_most_accurate(
    mlp, samples, shards, start_of, plain_loop, validation, name, plan
):
    last = replace(SETTINGS[name], epochs=8)
    best = replace(last, keep="best")
    arguments = ARGUMENTS | {"learning_rate": 0.1}
    trained = train(
        mlp, start_of(mlp), shards, samples, best, plan=plan, validation=validation, **arguments
    )
    ends = train(mlp, start_of(mlp), shards, samples, last, plan=plan, **arguments)
    for k, rows in shards.items():
        plain = plain_loop(mlp, rows, samples, best, member=k, validation=validation, **arguments)
        assert_close(trained[k], plain)
    assert any(not torch.equal(trained[k]["0.bias"], ends[k]["0.bias"]) for k in shards)


def test_probabilities_choose_the_best_epoch_by_their_likeliest_class(
    mlp, samples, shards, start_of, validation
):
    settings = replace(FOUR, epochs=8, keep="best")
    soft = torch.nn.functional.one_hot(validation.labels, 3) * 0.5 + 0.1
    softened = SimpleNamespace(inputs=validation.inputs, labels=soft, classes=3)
    one, other = (
        train(mlp, start_of(mlp), shards, samples, settings, validation=given, **ARGUMENTS)
        for given in (validation, softened)
    )
    for k in shards:
        assert_close(one[k], other[k], atol=0)


def test_without_samples_to_choose_by_there_is_no_best_epoch(
    mlp, samples, shards, start_of, validation
):
    settings = LocalTraining(keep="best")
    with pytest.raises(UserError, match=r"needs validation samples.*reference\.validation"):
        train(mlp, start_of(mlp), shards, samples, settings, **ARGUMENTS)
    validation.inputs = validation.inputs[:0]
    with pytest.raises(UserError, match="needs validation samples"):
        train(mlp, start_of(mlp), shards, samples, settings, validation=validation, **ARGUMENTS)


@pytest.mark.parametrize("plan", [PLANS[0], PLANS[2]], ids=lambda plan: plan.kind)
def test_labels_may_be_probabilities(mlp, samples, shards, start_of, plain_loop, plan):
    soft = samples.labels.new_zeros(60, 3, dtype=torch.float32) + 0.1
    soft[torch.arange(60), samples.labels] = 0.8
    softened = SimpleNamespace(inputs=samples.inputs, labels=soft, classes=3)
    seen = []

    def listen(inputs, targets, rng):
        seen.append(targets)
        return inputs, targets

    for defense in (None, Defense(batch=listen)):
        trained = train(
            mlp, start_of(mlp), shards, softened, FOUR, plan=plan, defense=defense, **ARGUMENTS
        )
        for k, rows in shards.items():
            assert_close(trained[k], plain_loop(mlp, rows, softened, FOUR, member=k, **ARGUMENTS))
    assert {round(value, 6) for value in torch.cat(seen).unique().tolist()} == {0.1, 0.8}


@pytest.mark.parametrize("plan", PLANS, ids=["stacked", "stacked by two", "one_by_one"])
def test_a_share_of_an_epoch_is_its_first_batches(mlp, samples, shards, start_of, plan):
    settings = LocalTraining(epochs=2, batch_size=4, momentum=0.9)
    some = {k: rows for k, rows in shards.items() if len(rows) >= 7}
    trained = train(
        mlp, start_of(mlp), some, samples, settings, defense=Defense(share=0.5), plan=plan,
        **ARGUMENTS,
    )  # fmt: skip
    for member, rows in some.items():
        expected = by_hand(mlp, start_of(mlp), rows, samples, settings, member, share=0.5)
        assert_close(trained[member], expected)


def by_hand(mlp, start, rows, samples, settings, member, share):
    model = copy.deepcopy(mlp)
    optimizer = torch.optim.SGD(model.parameters(), lr=ARGUMENTS["learning_rate"], momentum=0.9)
    whole = -(-len(rows) // settings.batch_size)
    for epoch in range(settings.epochs):
        path = (ARGUMENTS["seed"], "client", member, "round", 1, "epoch", epoch)
        order = torch.randperm(len(rows), generator=torch_child(*path))
        for batch in rows[order].split(settings.batch_size)[: int(share * whole)]:
            optimizer.zero_grad()
            outputs = model(samples.inputs[batch])
            torch.nn.functional.cross_entropy(outputs, samples.labels[batch]).backward()
            optimizer.step()
    return {name: p.detach() for name, p in model.named_parameters()}


@pytest.mark.parametrize(("share", "taken"), [(1.0, 10), (0.7, 7), (0.3, 3), (0.29, 2), (0.1, 1)])
def test_a_share_is_rounded_down_to_whole_batches(share, taken):
    assert LocalTraining(batch_size=10, share=share).batches(95) == taken


def test_a_share_that_trains_nothing_is_refused(mlp, samples, shards, start_of):
    settings = LocalTraining(batch_size=8)
    with pytest.raises(UserError, match="less than one"):
        train(
            mlp, start_of(mlp), shards, samples, settings, defense=Defense(share=0.5), **ARGUMENTS
        )
    with pytest.raises(UserError, match="full"):
        LocalTraining(full_gradient=True, share=0.5)
    with pytest.raises(UserError, match="share"):
        LocalTraining(share=0.0)
