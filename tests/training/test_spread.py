"""Training spread over executors: the same numbers, and errors that can be read."""

import pickle
from concurrent.futures import BrokenExecutor, Future

import pytest
import torch
from torch import nn

from seepage.protocols import Defense
from seepage.records import UserError
from seepage.training import LocalTraining, Plan, Spread, train

SETTINGS = LocalTraining(epochs=2, batch_size=8, momentum=0.9, weight_decay=0.01)
PROCESSES = Plan(kind="processes", workers=2)


def weighted(logits, targets):
    return -(targets * logits.log_softmax(1)).sum(1) * 2


class Here:
    """An executor that passes everything through bytes, and fails as it is told."""

    def __init__(self, error=None):
        self.error = error
        self.sent = 0

    def submit(self, function, argument):
        future = Future()
        function, argument = pickle.loads(pickle.dumps((function, argument)))
        self.sent += 1
        if self.error is not None:
            future.set_exception(self.error)
            return future
        try:
            future.set_result(pickle.loads(pickle.dumps(function(argument))))
        except Exception as error:
            future.set_exception(pickle.loads(pickle.dumps(error)))
        return future


def same(one, other):
    return one.keys() == other.keys() and all(
        torch.equal(one[k][n], other[k][n]) for k in one for n in one[k]
    )


def test_processes_give_the_numbers_of_one_by_one_bit_for_bit(mlp, samples, shards, start_of):
    with Spread(samples, workers=2) as spread:
        for number, defense in ((1, None), (2, Defense(loss=weighted))):
            arguments = {
                "learning_rate": 0.05,
                "seed": 5,
                "round_number": number,
                "defense": defense,
            }
            there = train(
                mlp,
                start_of(mlp),
                shards,
                samples,
                SETTINGS,
                plan=PROCESSES,
                spread=spread,
                **arguments,
            )
            here = train(mlp, start_of(mlp), shards, samples, SETTINGS, **arguments)
            assert same(there, here)


def spread_over(executor, model, samples, shards, start, **more):
    arguments = {"learning_rate": 0.05, "seed": 5, "round_number": 3, "plan": PROCESSES} | more
    with Spread(samples, executor=executor) as spread:
        return train(model, start, shards, samples, SETTINGS, spread=spread, **arguments)


def test_any_executor_will_do(mlp, samples, shards, start_of, tmp_path):
    executor = Here()
    there = spread_over(executor, mlp, samples, shards, start_of(mlp))
    here = train(
        mlp, start_of(mlp), shards, samples, SETTINGS, learning_rate=0.05, seed=5, round_number=3
    )
    assert same(there, here)
    assert executor.sent == len(shards)


def test_the_samples_are_written_where_asked_and_removed(samples, tmp_path):
    with Spread(samples, executor=Here(), folder=tmp_path):
        assert [path.name for path in tmp_path.glob("*/*")] == ["samples.safetensors"]
    assert not list(tmp_path.iterdir())


def test_divergence_in_a_worker_names_client_and_round(mlp, samples, shards, start_of):
    samples.inputs = samples.inputs.clone()
    samples.inputs[shards[1]] = float("inf")
    with pytest.raises(UserError, match="client 1 in round 3"):
        spread_over(Here(), mlp, samples, shards, start_of(mlp))


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (BrokenExecutor("gone"), UserError, "client 1, round 3: a worker process died.*__main__"),
        (OSError("disk"), RuntimeError, "client 1, round 3: a worker failed: OSError: disk"),
    ],
    ids=["died", "failed"],
)
def test_errors_of_workers_can_be_read(mlp, samples, shards, start_of, error, kind, words):
    with pytest.raises(kind, match=words):
        spread_over(Here(error), mlp, samples, {1: shards[1]}, start_of(mlp))


def test_what_cannot_be_sent_is_named(mlp, samples, shards, start_of):
    local = Defense(loss=lambda logits, targets: logits.sum(1))
    with pytest.raises(UserError, match="defense's hooks cannot be sent"):
        spread_over(Here(), mlp, samples, shards, start_of(mlp), defense=local)

    class Local(nn.Linear):
        pass

    with pytest.raises(UserError, match=r"model cannot be sent.*one_by_one"):
        spread_over(Here(), Local(6, 3), samples, shards, start_of(Local(6, 3)))
