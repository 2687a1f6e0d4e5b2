"""What a defense's own procedure trains with: the one training loop, with the study's settings."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from seepage.protocols import Defense
from seepage.training import LocalTraining, Softened, Trainer, train

SETTINGS = LocalTraining(epochs=2, batch_size=8, momentum=0.9)


@pytest.fixture
def trainer(mlp, samples, start_of):
    return Trainer(
        model=mlp,
        start=start_of(mlp),
        samples=samples,
        settings=SETTINGS,
        learning_rate=0.05,
        seed=5,
        mean=(0.0,),
        std=(1.0,),
        public=np.arange(51, 60),
        validation=Softened(samples.inputs[51:], samples.labels[51:], 3),
    )


def assert_same(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("keep", ["last", "best"])
def test_one_model_is_trained_as_train_does_it(trainer, mlp, samples, shards, start_of, keep):
    trainer = replace(trainer, settings=replace(SETTINGS, keep=keep))
    (state,) = trainer.train({3: shards[3]}, role="reference").values()
    expected = train(
        mlp,
        start_of(mlp),
        {3: shards[3]},
        samples,
        trainer.settings,
        learning_rate=0.05,
        seed=5,
        role="reference",
        validation=trainer.validation,
    )
    assert_same(state, expected[3])
    assert not torch.equal(state["0.weight"], mlp[0].weight)


def test_what_a_defense_asks_for_replaces_what_the_study_has(trainer, mlp, samples, shards):
    def trained(**changes):
        return trainer.train({3: shards[3]}, role="teacher", **changes)[3]

    usual = trained()
    softened = Softened(samples.inputs, torch.full((60, 3), 1 / 3), 3)
    halved = Defense(loss=lambda logits, targets: -(targets * logits.log_softmax(1)).sum(1) / 2)
    for changes in (
        {"samples": softened},
        {"start": {name: p + 0.1 for name, p in trainer.start.items()}},
        {"settings": {"epochs": 3}},
        {"learning_rate": 0.1},
        {"defense": halved},
    ):
        assert not torch.allclose(trained(**changes)["0.weight"], usual["0.weight"], atol=1e-4)
    assert not torch.equal(
        trainer.train({3: shards[3]}, role="student")[3]["0.weight"], usual["0.weight"]
    )
    assert_same(trained(learning_rate=0.05, settings={"epochs": 2}), usual)


def test_models_trained_together_are_those_trained_alone(trainer, shards):
    together = trainer.train(shards, role="teacher")
    for k, rows in shards.items():
        alone = trainer.train({k: rows}, role="teacher")[k]
        for name in alone:
            torch.testing.assert_close(together[k][name], alone[name], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_answers_are_those_of_evaluation_and_leave_the_model_alone(samples, trainer, training):
    model = nn.Sequential(nn.Linear(6, 8, bias=False), nn.BatchNorm1d(8), nn.Dropout(0.5))
    trainer = replace(trainer, model=model.train(training))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = {name: value + 1 for name, value in before.items()}
    answers = trainer.logits(state, samples.inputs)
    hidden = samples.inputs @ state["0.weight"].T
    scale = state["1.weight"] / (state["1.running_var"] + 1e-5).sqrt()
    expected = (hidden - state["1.running_mean"]) * scale + state["1.bias"]
    torch.testing.assert_close(answers, expected, atol=1e-5, rtol=1e-5)
    assert not answers.requires_grad
    assert model.training == training
    assert_same(model.state_dict(), before)


def test_many_inputs_are_answered_in_parts(trainer, samples, monkeypatch):
    whole = trainer.logits(trainer.start, samples.inputs)
    monkeypatch.setattr("seepage.training.trainer.ANSWERS", 7)
    parts = trainer.logits(trainer.start, samples.inputs)
    torch.testing.assert_close(parts, whole, atol=1e-6, rtol=1e-5)
