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


def test_it_finds_what_the_loss_does_not_show(found):
    """Members of a model get another wrong class at the top; no score of one number sees that."""
    given = held_against(found, 1)
    mark = np.zeros(5)
    mark[3] = 4.0
    rng = np.random.default_rng(0)
    noise = rng.normal(size=found["logits"].shape)
    marked = noise + mark * found["member"].to_numpy()[..., None]
    marked = found["logits"].copy(data=marked.astype(np.float32)).sel(model=given["model"])
    same = given.assign(logits=marked, loss=0 * given["loss"] + 1)
    member = found["member"].sel(model=1).to_numpy()
    score = nn(same, 1).to_numpy()
    assert auc(score[member], score[~member]) > 0.9
    assert len(np.unique(score)) == len(score)


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
