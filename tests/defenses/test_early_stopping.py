"""Early stopping is the undefended model as it was."""

import pickle

import numpy as np
import pytest
import torch

from defenses.small import POOL, same, trainer_of
from seepage.defenses import early_stopping
from seepage.records import UserError
from seepage.training import train

ROWS = POOL[:50]
SCHEDULES = [{}, {"schedule": "milestones", "milestones": (2, 4)}, {"restart_each_epoch": True}]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_it_is_the_undefended_model_after_that_epoch_bit_for_bit(schedule, monkeypatch):
    from seepage.training import local

    trainer = trainer_of(momentum=0.9, **schedule)
    stopped = early_stopping(epochs=3).fit(trainer, 7, ROWS)
    assert not stopped.kept
    whole = trainer.train({7: ROWS}, role="reference")[7]
    assert not same(stopped.state, whole)
    # the whole training, with a step size of 0 from the fourth epoch on
    factor = local.LocalTraining.factor
    monkeypatch.setattr(
        local.LocalTraining, "factor", lambda own, e: factor(own, e) if e < 3 else 0.0
    )
    assert same(stopped.state, trainer.train({7: ROWS}, role="reference")[7])


def test_all_epochs_are_no_defense_bit_for_bit():
    trainer = trainer_of()
    stopped = early_stopping(epochs=6).fit(trainer, 7, ROWS)
    assert same(stopped.state, trainer.train({7: ROWS}, role="reference")[7])


def test_it_is_plain_training_of_fewer_epochs():
    trainer = trainer_of(epochs=2)
    plain = train(
        trainer.model,
        trainer.start,
        {7: ROWS},
        trainer.samples,
        trainer.settings,
        learning_rate=trainer.learning_rate,
        seed=trainer.seed,
        role="reference",
    )
    longer = trainer_of(epochs=6)
    assert same(early_stopping(epochs=2).fit(longer, 7, ROWS).state, plain[7])


def test_it_travels_and_leaves_global_draws_alone():
    before = torch.get_rng_state()
    defense = pickle.loads(pickle.dumps(early_stopping(epochs=1)))
    defense.fit(trainer_of(), 0, np.arange(4))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True])
def test_epochs_out_of_range_are_refused(wrong):
    with pytest.raises(UserError, match="whole number of epochs >= 1"):
        early_stopping(epochs=wrong)


def test_more_epochs_than_the_study_has_are_refused():
    with pytest.raises(UserError, match=r"at most the study's federation\.local_epochs, 6, got 7"):
        early_stopping(epochs=7).fit(trainer_of(), 0, ROWS)
