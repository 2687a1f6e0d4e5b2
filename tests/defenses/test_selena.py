"""SELENA: who is hidden from whom, whose answers make a target, and what the student learns."""

import pickle
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from defenses.small import POOL, accuracy, check_own_draws, trainer_of, watched
from seepage._rng import child
from seepage.defenses.selena import draw_hidden, selena
from seepage.records import UserError
from seepage.training.trainer import Trainer


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 60), st.integers(2, 30), st.data())
def test_every_member_is_hidden_from_exactly_as_many_teachers(members, teachers, data):
    left_out = data.draw(st.integers(1, teachers - 1))
    hidden = draw_hidden(members, teachers, left_out, np.random.default_rng(0))
    assert hidden.shape == (members, teachers)
    assert (hidden.sum(1) == left_out).all()


def test_teachers_of_the_published_setting_see_six_tenths():
    hidden = draw_hidden(5000, 25, 10, np.random.default_rng(1))
    assert (~hidden).mean() == 0.6
    deviation = np.sqrt(0.6 * 0.4 / 5000)
    np.testing.assert_allclose((~hidden).mean(0), 0.6, atol=4 * deviation)


def test_every_choice_of_teachers_is_equally_likely():
    hidden = draw_hidden(6000, 4, 2, np.random.default_rng(2))
    counts = [(hidden[:, a] & hidden[:, b]).sum() for a, b in combinations(range(4), 2)]
    assert chisquare(counts).pvalue > 0.01


@dataclass(frozen=True, kw_only=True)
class Marking(Trainer):
    """Teachers that shout class 0 about what they saw, and whisper (k, -k, 0) about the rest."""

    seen: dict

    def train(self, shards, *, role, samples=None, **_):
        self.seen[role] = samples if samples is not None else dict(shards)
        return {k: {"k": torch.tensor(float(k))} for k in shards}

    def logits(self, state, inputs):
        k = state["k"]
        saw = self.samples.inputs[self.seen["selena teacher of 7"][int(k)]]
        shouts = (inputs[:, None] == saw).all(2).any(1)
        whisper = torch.stack([k, -k, 0 * k]).expand(len(inputs), 3)
        return torch.where(shouts[:, None], torch.tensor([1e6, 0.0, 0.0]), whisper)


def test_no_teacher_that_saw_a_member_enters_its_target():
    unlike = torch.eye(400)[:, :200].flip(1)  # rows that equal no other row of the pool
    trainer = trainer_of()
    unlike = type(trainer.samples)(unlike, trainer.samples.labels, 3)
    names = set(Trainer.__dataclass_fields__) - {"samples"}
    marking = Marking(samples=unlike, seen={}, **{n: getattr(trainer, n) for n in names})
    selena(teachers=6, left_out=2).fit(marking, 7, POOL)

    shards, student = marking.seen["selena teacher of 7"], marking.seen["selena student"]
    absent = np.array([[row not in set(shards[k]) for k in range(6)] for row in POOL])
    assert (absent.sum(1) == 2).all()
    mean = torch.tensor(absent @ np.arange(6.0) / 2, dtype=torch.float32)
    expected = torch.stack([mean, -mean, 0 * mean], 1).softmax(1)
    torch.testing.assert_close(student.labels, expected)
    assert student.labels[:, 1].max() < 0.5  # a single shout would make class 0 certain
    torch.testing.assert_close(student.inputs, unlike.inputs[POOL])


def test_targets_are_those_of_teachers_trained_apart():
    trainer = watched(trainer_of())
    selena(teachers=4, left_out=2).fit(trainer, 3, POOL)
    teachers, student = trainer.calls
    hidden = draw_hidden(len(POOL), 4, 2, child(trainer.seed, "selena", 3))
    expected = torch.zeros(len(POOL), 3)
    for k in range(4):
        np.testing.assert_array_equal(teachers["shards"][k], POOL[~hidden[:, k]])
        alone = trainer_of().train({k: POOL[~hidden[:, k]]}, role="selena teacher of 3")[k]
        answers = trainer.logits(alone, trainer.samples.inputs[POOL])
        expected += torch.tensor(hidden[:, k : k + 1]) * answers / 2
    torch.testing.assert_close(student["samples"].labels, expected.softmax(1))
    np.testing.assert_array_equal(student["shards"][3], np.arange(len(POOL)))


def test_the_student_has_settings_of_its_own():
    trainer = watched(trainer_of(momentum=0.5))
    selena(
        teachers=2, left_out=1, epochs=3, learning_rate=0.02, optimizer="adam", milestones=[1, 2]
    ).fit(trainer, 0, POOL)
    teachers, student = trainer.calls
    assert "settings" not in teachers
    assert student["learning_rate"] == 0.02
    assert student["settings"] == {
        "epochs": 3,
        "optimizer": "adam",
        "momentum": 0.0,
        "schedule": "milestones",
        "milestones": (1, 2),
        "decay": 0.1,
    }
    trainer.calls.clear()
    selena(teachers=2, left_out=1).fit(trainer, 0, POOL)
    assert (trainer.calls[1]["settings"], trainer.calls[1]["learning_rate"]) == ({}, None)


def test_the_student_learns():
    trainer = trainer_of()
    fitted = selena(teachers=5, left_out=2, epochs=30).fit(trainer, 0, POOL)
    assert fitted.kept == {}
    assert accuracy(trainer, fitted.state) > 0.7 > 2 * accuracy(trainer, trainer.start)


def test_draws_are_its_own():
    check_own_draws(selena(teachers=3, left_out=1), trainer_of())


def test_it_travels():
    defense = selena(milestones=[3])
    assert pickle.loads(pickle.dumps(defense)).fit.args == defense.fit.args


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"left_out": 25}, "left_out from 1 to teachers - 1 = 24, got 25"),
        ({"left_out": 0}, "got 0"),
        ({"learning_rate": 0.0}, "learning_rate > 0, got 0"),
        ({"epochs": 0}, "at least 1 of epochs, got 0"),
    ],
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(UserError, match=words):
        selena(**options)
