"""Reference models: trained once each, resumed exactly, spread over anything that submits."""

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest
import torch
from made_up_bench import RECORDS, make_bench

from seepage.protocols import Defense, Fitted
from seepage.records import UserError
from seepage.reference import ModelStore, share_of, train_models
from seepage.reference.run import see_to
from seepage.signals.output import loss
from seepage.training import train


def answers_of(bench, store, name="loss"):
    return np.stack([store.read_answers(key, bench.measuring, name) for key in bench.keys])


def test_a_model_is_plain_training_on_its_half(bench, tmp_path):
    store = ModelStore(tmp_path)
    train_models(bench, store)
    network = bench.network(2)
    start = {name: value.detach().clone() for name, value in network.named_parameters()}
    expected = train(
        network,
        start,
        {2: bench.shards[2][0]},
        bench.dataset,
        bench.settings.local,
        learning_rate=0.1,
        seed=0,
        role="reference",
    )[2]
    found = store.get(bench.keys[2])
    assert found is not None
    for name, value in expected.items():
        torch.testing.assert_close(found.state[name], value, rtol=1e-5, atol=1e-6)
    logits = torch.func.functional_call(network, expected, (bench.dataset.inputs,))
    wanted = loss(logits.detach().double(), bench.dataset.labels)
    got = store.read_answers(bench.keys[2], bench.measuring, "loss")
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-6)
    kept = store.read_answers(bench.keys[2], bench.measuring, "logits")
    assert kept.dtype == np.float16
    np.testing.assert_allclose(kept, logits.detach(), rtol=2e-3, atol=2e-3)


def test_models_start_from_weights_of_their_own(bench):
    first, second = (next(bench.network(number).parameters()) for number in (0, 1))
    assert not torch.equal(first, second)


def test_a_finished_model_is_never_trained_again(bench, tmp_path, monkeypatch):
    store = ModelStore(tmp_path)
    train_models(bench, store)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    monkeypatch.setattr(type(bench), "fit", lambda *_: pytest.fail("trained again"))
    monkeypatch.setattr(type(bench), "measure", lambda *_: pytest.fail("asked again"))
    train_models(bench, store)
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_other_questions_train_nothing(bench, tmp_path, monkeypatch):
    store = ModelStore(tmp_path)
    train_models(bench, store)
    monkeypatch.setattr(type(bench), "fit", lambda *_: pytest.fail("trained again"))
    object.__setattr__(bench.measuring, "names", ("entropy",))
    train_models(bench, store)
    assert answers_of(bench, store, "entropy").shape == (6, RECORDS + 20)


@pytest.mark.parametrize("plan", ["one_by_one", "stacked"])
def test_killed_and_gone_on_gives_the_same_numbers(plan, tmp_path):
    bench = make_bench(plan=plan)
    whole, cut = ModelStore(tmp_path / "whole"), ModelStore(tmp_path / "cut")
    train_models(bench, whole)
    see_to(bench, cut, [0, 1, 2])
    cut.model(bench.keys[1]).write_bytes(b"half a file")  # a disk that was full
    cut.answers(bench.keys[1], bench.measuring).unlink()
    train_models(bench, cut)
    np.testing.assert_allclose(answers_of(bench, cut), answers_of(bench, whole), rtol=1e-4)


def test_shares_together_are_the_whole(bench, tmp_path):
    whole, shared = ModelStore(tmp_path / "whole"), ModelStore(tmp_path / "shared")
    train_models(bench, whole)
    for index in (1, 0):
        train_models(bench, shared, numbers=share_of(6, index, 2))
    np.testing.assert_allclose(answers_of(bench, shared), answers_of(bench, whole), rtol=1e-4)
    assert sorted(share_of(6, 0, 2) + share_of(6, 1, 2)) == list(range(6))
    with pytest.raises(UserError, match="an index from 0 to 1"):
        share_of(6, 2, 2)


class Eager:
    """Anything with ``submit``: it runs at once, and its futures know nothing but ``result``."""

    def __init__(self):
        self.units = 0

    def submit(self, function, argument):
        self.units += 1
        value = function(argument)
        return type("Done", (), {"result": lambda self: value})()


@pytest.mark.parametrize("executor", [Eager(), ThreadPoolExecutor(1)])
def test_anything_that_submits_gives_the_same_numbers(executor, bench, tmp_path):
    here, there = ModelStore(tmp_path / "here"), ModelStore(tmp_path / "there")
    train_models(bench, here)
    told = []
    train_models(bench, there, workers=2, executor=executor, tell=lambda done, _: told.append(done))
    np.testing.assert_allclose(answers_of(bench, there), answers_of(bench, here), rtol=1e-4)
    assert told[0] == 0
    assert told[-1] == 6
    assert not [path for path in there.folder.iterdir() if path.name.startswith(".")]


def test_a_dead_worker_is_said_in_a_sentence(bench, tmp_path):
    from concurrent.futures.process import BrokenProcessPool

    class Broken:
        def submit(self, function, argument):
            future = Future()
            future.set_exception(BrokenProcessPool("gone"))
            return future

    with pytest.raises(UserError, match="a worker process died"):
        train_models(bench, ModelStore(tmp_path), executor=Broken())


def first_row(trainer, number, rows):
    trained = trainer.train({number: rows[:1]}, role="reference")
    return Fitted(state=trained[number], kept={"rows": torch.as_tensor(rows)})


def add_kept(logits, query):
    return logits + float(len(query.kept["rows"]))


def test_a_defense_may_train_and_answer_by_itself(tmp_path):
    bench = make_bench(defense=Defense(fit=first_row, respond=add_kept))
    store = ModelStore(tmp_path)
    train_models(bench, store)
    found = store.get(bench.keys[3])
    assert found is not None
    np.testing.assert_array_equal(found.kept["rows"], bench.shards[3][0])
    raw = torch.func.functional_call(bench.network(3), dict(found.state), (bench.dataset.inputs,))
    kept = store.read_answers(bench.keys[3], bench.measuring, "logits")
    np.testing.assert_allclose(kept, raw.detach() + len(bench.shards[3][0]), rtol=2e-3, atol=2e-2)


def test_a_federated_run_ends_in_one_model(tmp_path):
    bench = make_bench(clients=3, rounds=2, local_epochs=1)
    store = ModelStore(tmp_path)
    train_models(bench, store)
    found = answers_of(bench, store)
    assert np.isfinite(found).all()
    assert len({row.tobytes() for row in found}) == 6
