"""The attack network: whom it learns from, and what it must not confuse."""

import numpy as np
import pytest
from synthetic import auc
from synthetic_models import answers, held_against

from seepage.attacks import loss, nn
from seepage.records import UserError


@pytest.fixture(scope="module")
def found():
    return answers(0, leak=2.0, records=300, models=12)[0]


def test_it_keeps_up_with_the_loss(found):
    given = held_against(found, 1)
    member = found["member"].sel(model=1).to_numpy()
    areas = [auc(s[member], s[~member]) for s in (nn(given, 1).values, loss(given, 1).values)]
    assert areas[0] > areas[1] - 0.03


def marked(found, marks):
    """Noise, with the class ``marks(member, label)`` far up; the loss says nothing."""
    member, label = found["member"].to_numpy(), found["label"].to_numpy()
    noise = np.random.default_rng(0).normal(size=found["logits"].shape)
    logits = noise + 5.0 * np.eye(5)[marks(member, label)]
    same = found.assign(logits=found["logits"].copy(data=logits), loss=0 * found["loss"] + 1)
    score = nn(held_against(same, 1), 1).to_numpy()
    return auc(score[member[1]], score[~member[1]]), len(np.unique(score)) == len(score)


def test_it_finds_what_no_score_of_one_number_shows(found):
    area, untied = marked(found, lambda member, label: np.where(member, 3, 2))
    assert area > 0.95
    assert untied


def test_it_reads_each_answer_beside_its_label(found):
    area, _ = marked(found, lambda member, label: (label + ~member) % 5)
    assert area > 0.8


def test_it_learns_from_four_models_and_no_more(found):
    given = held_against(found, 1)
    other = given.copy(deep=True)
    other["logits"].loc[{"model": [6, 7, 8, 9, 10, 11]}] = 0.0
    assert nn(other, 1).identical(nn(given, 1))
    other["logits"].loc[{"model": 5}] = 0.0
    assert not nn(other, 1).identical(nn(given, 1))


def test_what_it_cannot_learn_from_is_refused(found):
    given = held_against(found, 1)
    with pytest.raises(UserError, match="label 4 has no logit: 'logits' has 4 classes"):
        nn(given.isel({"class": slice(0, 4)}), 1)
    with pytest.raises(UserError, match="only members or only non-members"):
        nn(given.assign(member=given["member"] & False), 1)
