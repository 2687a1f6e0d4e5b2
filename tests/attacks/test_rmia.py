"""RMIA against its definition pair by pair, its ties, and how it is tuned."""

import numpy as np
import pytest
import xarray as xr
from scipy.special import expit, logit
from synthetic import auc, tpr
from synthetic_models import answers, held_against

from seepage.attacks import rmia_offline, rmia_online
from seepage.attacks.answers import over_queries, references, rehearsal
from seepage.attacks.rmia import GRID, TIE_BREAK, USUAL_A, tuned

TARGET = 2


def confidence(scaled):
    return scaled.copy(data=expit(scaled.to_numpy().astype(float)))


def held(given):
    """Confidences of the reference models, and who was trained on what."""
    values, member = references(given, "scaled_logit", TARGET)
    return confidence(values), member


def usual(given, record, a=None):
    """``p(x)`` by its definition; ``a`` means offline."""
    values = confidence(given["scaled_logit"].sel(sample=record))
    values = values.mean("query") if "query" in values.dims else values
    member = given["member"].sel(sample=record).to_numpy()
    others = given["model"].to_numpy() != TARGET
    inside, outside = values[others & member], values[others & ~member]
    if a is not None:
        return ((1 + a) * float(outside.mean()) + (1 - a)) / 2
    sides = [float(side.mean()) for side in (inside, outside) if len(side)]
    return np.mean(sides)


def ratios(given, records, a=None):
    own = confidence(given["scaled_logit"].sel(model=TARGET))
    own = own.mean("query") if "query" in own.dims else own
    return np.array([float(own.sel(sample=r)) / usual(given, r, a) for r in records])


@pytest.mark.parametrize("public", [0, 12])
@pytest.mark.parametrize("gamma", [1.0, 2.0])
def test_the_score_is_the_share_of_records_beaten(public, gamma):
    given = held_against(answers(2, leak=1.0, records=50, queries=2, public=public)[0], TARGET)
    nobody = np.zeros(len(given["sample"]), bool)
    is_public = given["public"].to_numpy() if public else nobody
    asked = given["sample"].to_numpy()[~is_public]
    against = given["sample"].to_numpy()[is_public] if public else asked
    values, member = held(given)
    a = tuned(over_queries(values), member)
    for attack, choice in ((rmia_online, None), (rmia_offline, a)):
        score = attack(given, TARGET, gamma=gamma)
        x, z = ratios(given, asked, choice), ratios(given, against, choice)
        shares = np.array([np.mean(each / z >= gamma - 1e-9) for each in x])
        np.testing.assert_array_equal(score["sample"], asked)
        assert ((score - shares >= 0) & (score - shares < TIE_BREAK)).all()
        order = np.argsort(score)
        assert (np.diff(x[order]) >= -1e-9).all()


def test_ties_at_the_top_are_broken():
    """Many beat all three z: by its share alone no member stands above every non-member."""
    found = answers(0, records=2000, leak=4.0, public=3, models=16)[0]
    given = held_against(found, TARGET)
    score = rmia_online(given, TARGET)
    member = found["member"].sel(model=TARGET, sample=score["sample"]).to_numpy()
    share = np.round(score.to_numpy(), 3)
    top = share == share.max()
    assert (top & ~member).sum() > 1, "the shares of some non-members are at the top"
    assert tpr(share[member], share[~member], 0.001) == 0.0
    assert tpr(score.to_numpy()[member], score.to_numpy()[~member], 0.001) > 0.0
    assert len(np.unique(score)) > 0.99 * len(score)


def test_each_side_has_half_the_weight():
    """Three IN and one OUT give the same p(x) as one IN and three OUT."""
    member = np.array([[0, 0, 0], [1, 1, 0], [1, 0, 0], [1, 0, 1], [0, 0, 1]], dtype=bool)
    answer = np.where(member, 0.9, 0.1)
    answer[0] = [0.6, 0.6, 0.7]
    given = xr.Dataset(
        {
            "scaled_logit": (("model", "sample"), logit(answer)),
            "member": (("model", "sample"), member),
        },
        coords={"model": np.arange(5), "sample": np.arange(3)},
    )
    score = rmia_online(given, 0).to_numpy()
    np.testing.assert_allclose(score, [2 / 3, 2 / 3, 1], atol=TIE_BREAK)
    assert score[0] == score[1]


def test_a_is_what_attacks_the_first_reference_model_best():
    given = held_against(answers(3, leak=1.0, records=300)[0], TARGET)
    values, member = held(given)
    own, inside, others, saw = rehearsal(values, member)
    assert 1 not in others["model"], "the complement of model 0 would tell"
    out = others.where(~saw).mean("model")
    truth = inside.to_numpy()
    areas = []
    for a in GRID:
        ratio = (own / ((1 + a) * out + (1 - a))).to_numpy()
        areas.append(auc(ratio[truth], ratio[~truth]))
    assert areas[list(GRID).index(tuned(values, member))] == pytest.approx(max(areas), abs=1e-3)
    assert max(areas) > min(areas) + 0.005


def test_two_reference_models_leave_nothing_to_tune_on():
    given = held_against(answers(3, leak=1.0, models=4)[0], TARGET)
    assert tuned(*held(given)) == USUAL_A
    assert np.isfinite(rmia_offline(given, TARGET)).all()


def test_vanishing_confidences_are_no_division_by_zero():
    given = held_against(answers(3, records=40)[0], TARGET)
    nothing = given.assign(scaled_logit=0 * given["scaled_logit"] - 1e4)
    for attack in (rmia_online, rmia_offline):
        assert np.isfinite(attack(nothing, TARGET)).all()
    np.testing.assert_allclose(rmia_online(nothing, TARGET), 1.0, atol=TIE_BREAK)
