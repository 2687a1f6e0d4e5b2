"""Answers of models from elsewhere: what is left out, who stands in, and what a file may hold."""

import numpy as np
import pytest
import xarray as xr

import seepage
from seepage.attacks import ATTACKS
from seepage.audit.models_score import choose_on_references
from seepage.records import UserError

RECORDS = 120


def answers(models=8, *, short=None, seed=0, leak=2.0):
    """Scaled logits that leak; every record in half of the models, one maybe in two of them."""
    rng = np.random.default_rng(seed)
    half = np.stack([rng.permutation(models) < models // 2 for _ in range(RECORDS)], axis=1)
    if short is not None:
        half[:, 17] = np.isin(np.arange(models), short)
    values = rng.normal(size=RECORDS) + leak * half + rng.normal(size=half.shape)
    return xr.Dataset(
        {
            "member": (("model", "sample"), half),
            "scaled_logit": (("model", "sample"), values),
            "label": (("sample",), rng.integers(0, 3, RECORDS)),
        },
        coords={"model": np.arange(models), "sample": np.arange(RECORDS)},
    )


@pytest.mark.parametrize("targets", [[0], [5], [0, 5], [5, 0], "all"])
def test_an_attack_that_one_target_lacks_evidence_for_is_left_out_with_the_reason(targets):
    # of the others than model 5, one holds record 17: too few for a deviation
    given = answers(short=[5, 6])
    result = seepage.attack_models(given, targets=targets)
    names = {row.name for row in result.results.attacks}
    lacking = targets == "all" or 5 in targets
    assert ("lira_online" not in names) == lacking
    assert "lira_online_fixed" in names
    if lacking:
        assert result.left_out["lira_online"].startswith("model 5: 1 records are in, or out of")


def test_a_named_attack_that_one_target_lacks_evidence_for_is_an_error():
    with pytest.raises(UserError, match="lira_online on model 5: 1 records"):
        seepage.attack_models(answers(short=[5, 6]), attacks=["lira_online"], targets=[0, 5])


def test_no_attack_at_all_is_an_error():
    alone = answers()[["member", "scaled_logit"]].isel(model=[0])
    with pytest.raises(UserError, match="no model beside the target"):
        seepage.attack_models(alone, attacks=["lira_online"])


def choices(given, target, attacks=("loss", "lira_online_fixed")):
    member = given["member"].to_numpy()
    known = given.assign(loss=np.logaddexp(0, -given["scaled_logit"]))
    return choose_on_references(
        {name: ATTACKS[name] for name in attacks},
        known,
        member,
        np.arange(RECORDS),
        [target],
        canaries=np.zeros(RECORDS, dtype=bool),
    )[target]


def test_models_with_one_side_do_not_stand_in_for_the_target():
    given = answers(14, leak=4.0)
    expected = choices(given, 0)
    assert set(expected.values()) == {"lira_online_fixed"}
    given["member"][[1, 2]] = True
    assert set(choices(given, 0).values()) == {"lira_online_fixed"}


def test_where_nobody_can_stand_in_nothing_is_chosen():
    given = answers(8)
    given["member"][1:] = True
    assert choices(given, 0, ["loss"]) == {}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"member": (("sample",), np.ones(RECORDS))}, r"member needs the dims model, sample, got"),
        ({"public": (("model", "sample"), np.zeros((8, RECORDS)))}, "public needs the dims sample"),
        ({"canary": (("model", "sample"), np.zeros((8, RECORDS)))}, "canary needs the dims sample"),
        ({"canary": (("sample",), np.full(RECORDS, np.nan))}, r"got nan \(120 such values\)"),
        ({"public": (("sample",), np.full(RECORDS, 2))}, r"public says true or false .* got 2 "),
        ({"member": (("model", "sample"), np.full((8, RECORDS), 3))}, "got 3 "),
        ({"scaled_logit": (("model", "sample"), np.full((8, RECORDS), np.nan))}, "'scaled_logit'"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_arrays_of_another_form_are_refused_in_a_sentence(change, words):
    with pytest.raises(UserError, match=words):
        seepage.attack_models(answers().assign(change))


@pytest.mark.parametrize("target", ["²", "-1", "x"])
def test_targets_that_are_no_numbers_are_refused(target):
    with pytest.raises(UserError, match="there is no such model"):
        seepage.attack_models(answers(), targets=[target])


@pytest.mark.filterwarnings("error")
def test_far_logits_warn_of_nothing():
    given = answers()
    given["scaled_logit"] = (3000 * given["scaled_logit"]).astype(np.float16)
    result = seepage.attack_models(given, attacks=["confidence", "loss"], targets=[0])
    assert len(result.results.attacks) == 2


def test_whole_numbers_do_for_thresholds_of_classes():
    given = answers()[["member", "label"]]
    loss = np.where(given["member"], 1, 3).astype(np.uint8)
    given["loss"] = (("model", "sample"), loss)
    result = seepage.attack_models(given, attacks=["loss_per_class"], targets=[0])
    assert result.results.attacks[0].auc == 1.0
