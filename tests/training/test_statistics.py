"""Models with statistics and draws of their own: trained alone, each as if there were no other."""

import pickle
from concurrent.futures import Future
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from seepage.records import UserError
from seepage.states import refuse_running_statistics, running_statistics
from seepage.training import LocalTraining, Plan, Spread, choose_plan, train

ARGUMENTS = {"learning_rate": 0.05, "seed": 5}
BUFFERS = {"1.running_mean", "1.running_var", "1.num_batches_tracked"}
EPOCHS = {"epochs": 3, "batch_size": 8}
EVERYTHING = [
    LocalTraining(**EPOCHS, **optimizer, **schedule, restart_each_epoch=restart, keep=keep)
    for optimizer in (
        {"weight_decay": 0.01},
        {"momentum": 0.9, "weight_decay": 0.01},
        {"optimizer": "adam", "weight_decay": 0.01},
        {"optimizer": "adamw", "weight_decay": 0.01},
    )
    for schedule, restart, keep in (
        ({}, False, "last"),
        ({"schedule": "milestones", "milestones": (1,)}, False, "best"),
        ({"schedule": "cosine"}, True, "best"),
    )
]


def name_of(settings):
    return f"{settings.optimizer} {settings.momentum} {settings.schedule} {settings.keep}"


@pytest.fixture
def normalised():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(
            nn.Linear(6, 8, bias=False), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3)
        )


@pytest.fixture
def dropping():
    with torch.random.fork_rng():
        torch.manual_seed(2)
        return nn.Sequential(
            nn.Linear(6, 8, bias=False),
            nn.BatchNorm1d(8),
            nn.Tanh(),
            nn.Dropout(0.3),
            nn.Linear(8, 3),
        )


@pytest.fixture
def several(shards):
    """Without the shard of one sample, which has no statistics."""
    return {k: rows for k, rows in shards.items() if len(rows) > 1}


def assert_close(one, other, atol=1e-5):
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], atol=atol, rtol=1e-5)


class Here:
    """An executor that passes everything through bytes."""

    def submit(self, function, argument):
        future = Future()
        function, argument = pickle.loads(pickle.dumps((function, argument)))
        future.set_result(pickle.loads(pickle.dumps(function(argument))))
        return future


@pytest.mark.parametrize("settings", EVERYTHING, ids=name_of)
def test_statistics_come_with_the_parameters(
    normalised, samples, several, start_of, plain_loop, settings
):
    validation = SimpleNamespace(inputs=samples.inputs[51:], labels=samples.labels[51:], classes=3)
    trained = train(
        normalised, start_of(normalised), several, samples, settings, validation=validation,
        **ARGUMENTS,
    )  # fmt: skip
    for k, rows in several.items():
        assert set(trained[k]) - set(start_of(normalised)) == BUFFERS
        choose = validation if settings.keep == "best" else None
        plain = plain_loop(
            normalised, rows, samples, settings, member=k, validation=choose, **ARGUMENTS
        )
        assert_close(trained[k], plain)
    assert normalised[1].num_batches_tracked == 0, "the architecture's own are left alone"


@pytest.mark.parametrize("stacked", [False, True], ids=["statistics and draws", "neither"])
@pytest.mark.parametrize("settings", EVERYTHING, ids=name_of)
def test_a_cohort_equals_its_models_one_at_a_time(
    dropping, mlp, samples, several, start_of, settings, stacked
):
    model = mlp if stacked else dropping
    start, validation = start_of(model), samples
    plan = choose_plan(model, device="cpu", clients=len(several), may_spawn=False)
    assert plan.kind == ("stacked" if stacked else "one_by_one")
    more = {"validation": validation, **ARGUMENTS}
    together = train(model, start, several, samples, settings, plan=plan, **more)
    spread_out = Plan(kind="processes")
    with Spread(samples, executor=Here()) as spread:
        there = train(
            model, start, several, samples, settings, plan=spread_out, spread=spread, **more
        )
    for k, rows in several.items():
        alone = train(model, start, {k: rows}, samples, settings, **more)[k]
        assert_close(together[k], alone)
        assert_close(there[k], alone, atol=0)


def test_a_start_may_hold_statistics(normalised, samples, several, start_of):
    settings = LocalTraining(batch_size=8)
    first = train(normalised, start_of(normalised), several, samples, settings, **ARGUMENTS)
    second = train(normalised, [first[k] for k in several], several, samples, settings, **ARGUMENTS)
    for k, rows in several.items():
        assert second[k]["1.num_batches_tracked"] == 2 * -(-len(rows) // 8)
    without = {n: p for n, p in first[3].items() if n not in BUFFERS}
    again = train(normalised, without, {3: several[3]}, samples, settings, **ARGUMENTS)
    assert again[3]["1.num_batches_tracked"] == 3
    assert torch.equal(again[3]["0.weight"], second[3]["0.weight"])
    assert not torch.equal(again[3]["1.running_mean"], second[3]["1.running_mean"])


def test_only_normalisation_layers_have_running_statistics():
    model = nn.Sequential(nn.BatchNorm1d(2), nn.InstanceNorm1d(2), nn.Linear(2, 2))
    model.register_buffer("constant", torch.zeros(3))
    assert set(running_statistics(model)) == {
        "0.running_mean", "0.running_var", "0.num_batches_tracked",
    }  # fmt: skip
    assert set(running_statistics(nn.BatchNorm1d(2))) == {
        "running_mean", "running_var", "num_batches_tracked",
    }  # fmt: skip


def test_what_cannot_be_stacked_is_refused_and_not_stacked(normalised, samples, several, start_of):
    settings = LocalTraining(batch_size=8)
    plan = Plan(kind="stacked", chunk=4)
    for layer, words in (
        (nn.BatchNorm1d(3), "mixes the samples"),
        (nn.BatchNorm1d(3, track_running_stats=False), "mixes the samples"),
        (nn.Dropout(0.5), "draws at random"),
        (nn.InstanceNorm1d(3, track_running_stats=True), "keeps running statistics"),
    ):
        model = nn.Sequential(nn.Linear(6, 3), layer)
        with pytest.raises(UserError, match=f"cannot train this model: .* {words}"):
            train(model, start_of(model), several, samples, settings, plan=plan, **ARGUMENTS)


def test_one_sample_has_no_statistics(normalised, samples, shards, start_of):
    with pytest.raises(UserError, match="a mini-batch of 1 sample has no statistics"):
        train(
            normalised, start_of(normalised), {2: shards[2]}, samples, LocalTraining(), **ARGUMENTS
        )


def test_where_they_cannot_be_is_said_with_the_layer(normalised):
    with pytest.raises(UserError, match=r"'1' .BatchNorm1d. keeps running statistics, which rot"):
        refuse_running_statistics(normalised, "which rot")
    refuse_running_statistics(nn.Sequential(nn.BatchNorm1d(3, track_running_stats=False)), "")
