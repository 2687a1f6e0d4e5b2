"""What is read of the answers of many models, and what is refused."""

import numpy as np
import pytest
import xarray as xr
from synthetic import auc
from synthetic_models import MODELS, answers, held_against

from seepage.attacks import (
    calibrated_loss,
    confidence,
    lira_offline,
    lira_offline_fixed,
    lira_online,
    lira_online_fixed,
    lira_online_fixed_faithful,
    loss,
    loss_per_class,
    rmia_online,
)
from seepage.attacks.answers import (
    evenly,
    of_model,
    of_records,
    public_only,
    references,
    rehearsal,
    with_references,
)
from seepage.records import UserError


@pytest.fixture(scope="module")
def found():
    return answers(1, leak=1.0, records=60, public=9)[0]


@pytest.fixture(scope="module")
def given(found):
    return held_against(found, 2)


def test_the_target_is_read_alone(found, given):
    own = of_model(given.assign_coords(more=("sample", found["label"].to_numpy())), "loss", 2)
    assert own.dims == ("sample",)
    assert set(own.coords) == {"sample"}
    assert own.dtype == np.float64
    expected = found["loss"].sel(model=2)[~found["public"].to_numpy()]
    np.testing.assert_array_equal(own, expected)


def test_references_are_all_others_by_number(found, given):
    values, member = references(given.isel(model=[4, 0, 6, 2, 1, 3, 5]), "loss", 2)
    assert values["model"].to_numpy().tolist() == [0, 1, 4, 5, 6, 7]
    assert values.dtype == np.float32
    assert member.dtype == np.bool_
    pool = ~found["public"].to_numpy()
    np.testing.assert_array_equal(member, found["member"].sel(model=[0, 1, 4, 5, 6, 7])[:, pool])
    np.testing.assert_array_equal(values, found["loss"].sel(model=[0, 1, 4, 5, 6, 7])[:, pool])


def test_the_targets_row_of_member_is_never_read(given):
    told = given.copy(deep=True)
    told["member"].loc[{"model": 2}] = True
    assert references(told, "loss", 2)[1].identical(references(given, "loss", 2)[1])
    unknown = given.copy()
    unknown["member"] = given["member"].astype(float).where(given["model"] != 2)
    assert references(unknown, "loss", 2)[1].identical(references(given, "loss", 2)[1])


def test_the_complement_would_tell_and_without_it_counts_say_nothing(found):
    pool = found.isel(sample=~found["public"].to_numpy())
    truth = pool["member"].sel(model=2).to_numpy()
    _, with_complement = references(pool, "loss", 2)
    count = with_complement.sum("model").to_numpy()
    assert auc(count[truth], count[~truth]) == 0.0
    _, member = references(held_against(pool, 2), "loss", 2)
    assert (member.sum("model") == MODELS // 2 - 1).all()


def test_a_member_that_is_no_flag_is_refused(given):
    twos = given.copy()
    twos["member"] = given["member"].astype(int) * 2
    with pytest.raises(UserError, match=r"'member' has .* neither true nor false"):
        calibrated_loss(twos, 2)
    whole = given.copy()
    whole["member"] = given["member"].astype(np.uint8)
    assert calibrated_loss(whole, 2).identical(calibrated_loss(given, 2))
    with pytest.raises(UserError, match="'member' has no model dim"):
        calibrated_loss(given.assign(member=given["member"].isel(model=0, drop=True)), 2)


@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf])
def test_a_gap_in_any_model_is_named_with_count_and_place(given, hole):
    holed = given.copy(deep=True)
    holed["loss"][5, [3, 4]] = hole
    place = f"model {int(given.model[5])}, sample {int(given.sample[3])}"
    with pytest.raises(UserError, match=f"'loss' has 2 missing .* first in {place}"):
        loss(holed, 2)
    assert confidence(holed, 2).notnull().all()


def test_gaps_in_public_records_matter_to_nobody_who_does_not_read_them(given):
    holed = given.copy()
    holed["loss"] = given["loss"].where(~given["public"])
    assert loss(holed, 2).identical(loss(given, 2))


def test_wrong_datasets_are_refused(given):
    with pytest.raises(UserError, match=r"no model 3; models there are: 0, 1, 2, 4, 5, 6, 7\."):
        loss(given, 3)
    with pytest.raises(UserError, match="'loss' has no model dim"):
        loss(given.isel(model=0), 0)
    with pytest.raises(UserError, match="needs the dim sample"):
        loss(given.expand_dims(round=2), 2)
    with pytest.raises(UserError, match="no sample ids"):
        loss(given.drop_vars("sample"), 2)
    with pytest.raises(UserError, match="model 2 more than once"):
        loss(xr.concat([given, given.sel(model=[2])], dim="model", data_vars="minimal"), 2)
    with pytest.raises(UserError, match="every record is public"):
        loss(given.isel(sample=given["public"].to_numpy()), 2)
    with pytest.raises(UserError, match="'loss' needs numbers"):
        loss(given.assign(loss=given["loss"].astype(str)), 2)


def test_many_models_are_not_all_listed():
    with pytest.raises(UserError, match=r"models there are: 0, 1, .*, 9, …"):
        loss(answers(0, models=16, records=4)[0], 16)


def test_no_reference_model_is_an_error(given):
    alone = given.sel(model=[2])
    assert loss(alone, 2).sizes == {"sample": 60}
    for attack in (calibrated_loss, lira_online_fixed, loss_per_class, rmia_online):
        with pytest.raises(UserError, match="no model beside the target"):
            attack(alone, 2)


def test_records_in_no_reference_model_are_refused_with_a_number_of_models(given):
    odd = given.copy(deep=True)
    odd["member"][:, [4, 6]] = False
    for attack in (lira_online_fixed, lira_online_fixed_faithful, rmia_online):
        with pytest.raises(
            UserError,
            match=rf"2 records are in, or out of, too few reference models \(record "
            rf"{int(given.sample[4])}: IN 0, OUT of 6\).* at least 1 IN and 1 OUT\. Train more "
            r"models: .* takes 4,.* Or leave those records out\.",
        ):
            attack(odd, 2)
    assert lira_offline_fixed(odd, 2).notnull().all()
    odd["member"][:, 4] = True
    for attack in (lira_offline_fixed, calibrated_loss):
        with pytest.raises(UserError, match=r"IN 6, OUT of 0\).* least 1 OUT"):
            attack(odd, 2)


def test_another_attack_is_named_only_where_it_would_do(given):
    odd = given.copy(deep=True)
    odd["member"][:, 4] = True
    with pytest.raises(UserError, match=r"^1 records? .* IN and 2 OUT\. Train more .* leave those"):
        lira_online(odd, 2)
    with pytest.raises(UserError, match=r"2 OUT\. Train more models"):
        lira_offline(odd, 2)


def test_four_models_need_a_fixed_deviation():
    given = held_against(answers(1, models=4)[0], 0)
    for attack, other in ((lira_online, "lira_online_fixed"), (lira_offline, "lira_offline_fixed")):
        with pytest.raises(UserError, match=f"Use {other}, or train more models: .* takes 6,"):
            attack(given, 0)
    six = held_against(answers(1, models=6)[0], 0)
    assert np.isfinite(lira_online(six, 0)).all()


def test_features_of_records_keep_their_type_and_are_whole():
    given = answers(0, features=3, public=5)[0]
    inputs = of_records(given, "input")
    assert inputs.dims == ("sample", "feature")
    assert inputs.dtype == np.float32
    assert len(inputs) == 200
    with pytest.raises(UserError, match="'input' has 3 missing"):
        of_records(
            given.assign(input=given["input"].where(given["sample"] != inputs.sample[0])), "input"
        )
    with pytest.raises(UserError, match="one class number"):
        loss_per_class(given.assign(label=given["label"] + 0.5), 0)


def test_public_records_apart(given):
    apart = public_only(given, ("loss", "nothing"))
    assert set(apart.data_vars) == {"loss"}
    np.testing.assert_array_equal(apart["sample"], given["sample"][given["public"]])
    assert public_only(given.drop_vars("public"), ("loss",)) is None
    nobody = given.assign(public=xr.zeros_like(given["public"]))
    assert public_only(nobody, ("loss",)) is None
    assert loss(nobody, 2).sizes == {"sample": 69}


def test_a_rehearsal_leaves_out_the_complement(given):
    values, member = references(given, "loss", 2)
    own, inside, others, saw = rehearsal(values, member)
    assert own.identical(values.sel(model=0, drop=True))
    assert inside.identical(member.sel(model=0, drop=True))
    assert others["model"].to_numpy().tolist() == saw["model"].to_numpy().tolist() == [4, 5, 6, 7]


def test_a_few_references_are_those_of_lowest_number(given):
    few = with_references(given.isel(model=[6, 5, 4, 3, 2, 1, 0]), ("loss", "none"), 2, 3)
    assert few["model"].to_numpy().tolist() == [2, 0, 1, 4]
    assert set(few.data_vars) == {"loss", "public"}


def test_evenly_spaced_ids():
    ids = np.array([5, 1, 4, 2, 3])
    np.testing.assert_array_equal(ids[evenly(ids, 3)], [1, 3, 5])
    np.testing.assert_array_equal(ids[evenly(ids, 9)], [1, 2, 3, 4, 5])
    assert evenly(ids[:0], 3).size == 0
