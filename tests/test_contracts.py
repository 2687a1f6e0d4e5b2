"""What every attack of the table promises."""

import inspect

import numpy as np
import pytest

from attacks.synthetic import CLIENTS, auc, signals
from seepage import attacks
from seepage.attacks import ATTACKS
from seepage.records import UserError

TARGET = 3


@pytest.fixture(scope="module")
def leaky():
    return signals(5, leak=2.0)


def sides(score, owner, target=TARGET):
    return score.to_numpy()[owner == target], score.to_numpy()[owner == -1]


def test_the_table_is_sorted_and_complete():
    assert list(ATTACKS) == sorted(ATTACKS)
    public = {
        name
        for name, value in vars(attacks).items()
        if inspect.isfunction(value)
        and list(inspect.signature(value).parameters) == ["signals", "target"]
    }
    assert public == set(ATTACKS)
    assert set(attacks.__all__) == public | {"ATTACKS"}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_row_says_what_it_is(name):
    attack = ATTACKS[name]
    assert attack.score.__name__ == name
    assert attack.needs
    assert attack.summary
    assert attack.paper


@pytest.mark.parametrize("name", ATTACKS)
def test_a_planted_leak_is_found(name, leaky):
    found, owner = leaky
    area = np.mean([auc(*sides(ATTACKS[name](found, k), owner, k)) for k in range(CLIENTS)])
    assert area > 0.8


@pytest.mark.parametrize("name", ATTACKS)
def test_no_leak_is_chance(name):
    areas = []
    for seed in range(20):
        found, owner = signals(seed, leak=0.0)
        areas.append(auc(*sides(ATTACKS[name](found, TARGET), owner)))
    member, nonmember = (owner == TARGET).sum(), (owner == -1).sum()
    error = np.sqrt((1 / member + 1 / nonmember) / 12 / len(areas))
    assert np.mean(areas) == pytest.approx(0.5, abs=4 * error)


@pytest.mark.parametrize("name", ATTACKS)
def test_a_score_is_one_number_a_sample(name, leaky):
    found, _ = leaky
    score = ATTACKS[name](found, TARGET)
    assert score.dims == ("sample",)
    assert set(score.coords) == {"sample"}
    np.testing.assert_array_equal(score["sample"], found["sample"])
    assert score.dtype == np.float64
    assert np.isfinite(score).all()


@pytest.mark.parametrize("name", ATTACKS)
def test_rows_are_joined_by_id(name, leaky):
    found, _ = leaky
    score = ATTACKS[name](found, TARGET)
    order = np.random.default_rng(0).permutation(found.sizes["sample"])
    shuffled = ATTACKS[name](found.isel(sample=order), TARGET)
    np.testing.assert_allclose(shuffled.sel(sample=score["sample"]), score, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ATTACKS)
def test_the_names_of_the_others_do_not_matter(name, leaky):
    found, _ = leaky
    renamed = found.isel(client=[7, 3, 0, 9, 4, 1, 8, 2, 6, 5])
    renamed = renamed.assign_coords(client=[11, 3, *range(20, 28)])
    score = ATTACKS[name](found, TARGET)
    np.testing.assert_allclose(ATTACKS[name](renamed, 3), score, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ATTACKS)
def test_a_score_keeps_no_state(name, leaky):
    found, _ = leaky
    before = found.copy(deep=True)
    first = ATTACKS[name](found, TARGET)
    ATTACKS[name](signals(6, leak=1.0)[0], 0)
    assert ATTACKS[name](found, TARGET).identical(first)
    assert found.identical(before)


@pytest.mark.parametrize("name", ATTACKS)
def test_only_what_it_needs_is_read(name, leaky):
    found, _ = leaky
    attack = ATTACKS[name]
    assert attack(found[list(attack.needs)], TARGET).identical(attack(found, TARGET))


@pytest.mark.parametrize("name", ATTACKS)
def test_nan_is_refused(name, leaky):
    found = leaky[0].copy(deep=True)
    for needed in ATTACKS[name].needs:
        found[needed] = found[needed].where(found["sample"] != 1007)
    with pytest.raises(UserError, match=f"'{ATTACKS[name].needs[0]}' has .* missing"):
        ATTACKS[name](found, TARGET)


@pytest.mark.parametrize("name", ATTACKS)
def test_a_missing_signal_is_refused(name, leaky):
    for needed in ATTACKS[name].needs:
        with pytest.raises(UserError, match=f"needs the signal '{needed}'"):
            ATTACKS[name](leaky[0].drop_vars(needed), TARGET)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_unknown_target_is_refused(name, leaky):
    with pytest.raises(UserError, match="no client 10"):
        ATTACKS[name](leaky[0], CLIENTS)


@pytest.mark.parametrize("name", ATTACKS)
def test_rounds_without_the_target_are_skipped(name, leaky):
    found, _ = leaky
    later = found["round"] <= 40
    absent = found.copy()
    for needed in ATTACKS[name].needs:
        absent[needed] = found[needed].where(later)
    score = ATTACKS[name](absent, TARGET)
    expected = ATTACKS[name](found.isel(round=later.to_numpy()), TARGET)
    np.testing.assert_allclose(score, expected, rtol=1e-9, atol=1e-12)
