"""What every attack of the table promises."""

import inspect
import pickle
from functools import cache

import numpy as np
import pytest

from attacks.synthetic import CLIENTS, auc, signals
from attacks.synthetic_models import MODELS, answers, held_against
from attacks.synthetic_users import user_signals
from seepage import attacks
from seepage.attacks import ATTACKS
from seepage.records import UserError

TARGET = 3
OVER_CLIENTS = [name for name, attack in ATTACKS.items() if attack.over == "client"]
OVER_ROUNDS = [name for name, attack in ATTACKS.items() if attack.over == "round"]
OVER_MODELS = [name for name, attack in ATTACKS.items() if attack.over == "model"]
ON_USERS = [name for name, attack in ATTACKS.items() if attack.decide]


@cache
def made_up(of_users, seed, leak):
    return (user_signals if of_users else signals)(seed, leak=leak)


def made(name, seed=5, leak=2.0):
    """Signals that the attack reads, and the owner of each sample. They are not to be changed."""
    return made_up(name in ON_USERS, seed, leak)


IN_ROUNDS = [
    name
    for name in OVER_CLIENTS
    if any("round" in made(name)[0][need].dims for need in ATTACKS[name].needs)
]


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
        and list(inspect.signature(value).parameters)[:2] == ["signals", "target"]
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
    assert attack.over in ("client", "round") or attack.adversary == "querier"
    assert attack.over != "round" or attack.adversary == "aggregate"
    assert attack.only_by_name == name.endswith("_faithful")
    assert attack.decide or not attack.stands_in


@pytest.mark.parametrize("name", [name for name in ATTACKS if ATTACKS[name].adapts])
def test_an_adaptive_attack_is_a_plain_one_on_other_signals(name):
    adaptive, plain = ATTACKS[name], ATTACKS[ATTACKS[name].adapts]
    assert name == f"{adaptive.adapts}_adaptive"
    assert adaptive.needs == tuple(f"adaptive_{need}" for need in plain.needs)
    assert (adaptive.adversary, adaptive.over) == (plain.adversary, plain.over)


@pytest.mark.parametrize("name", OVER_CLIENTS)
def test_a_planted_leak_is_found(name):
    found, owner = made(name)
    clients = found.client.to_numpy()
    area = np.mean([auc(*sides(ATTACKS[name](found, k), owner, k)) for k in clients])
    assert area > 0.8


@pytest.mark.parametrize("name", OVER_CLIENTS)
def test_no_leak_is_chance(name):
    areas = []
    for seed in range(20):
        found, owner = made(name, seed, 0.0)
        areas.append(auc(*sides(ATTACKS[name](found, TARGET), owner)))
    member, nonmember = (owner == TARGET).sum(), (owner == -1).sum()
    error = np.sqrt((1 / member + 1 / nonmember) / 12 / len(areas))
    assert np.mean(areas) == pytest.approx(0.5, abs=4 * error)


@pytest.mark.parametrize("name", OVER_CLIENTS)
def test_a_score_is_one_number_a_sample(name):
    found, _ = made(name)
    score = ATTACKS[name](found, TARGET)
    assert score.dims == ("sample",)
    assert set(score.coords) == {"sample"}
    np.testing.assert_array_equal(score["sample"], found["sample"])
    assert score.dtype == np.float64
    assert np.isfinite(score).all()


@pytest.mark.parametrize("name", OVER_CLIENTS)
def test_rows_are_joined_by_id(name):
    found, _ = made(name)
    score = ATTACKS[name](found, TARGET)
    order = np.random.default_rng(0).permutation(found.sizes["sample"])
    shuffled = ATTACKS[name](found.isel(sample=order), TARGET)
    np.testing.assert_allclose(shuffled.sel(sample=score["sample"]), score, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", OVER_CLIENTS)
def test_the_names_of_the_others_do_not_matter(name):
    found, _ = made(name)
    order = np.random.default_rng(0).permutation(found.sizes["client"])
    renamed = found.isel(client=order)
    renamed = renamed.assign_coords(client=np.where(order == TARGET, TARGET, 20 + order))
    score = ATTACKS[name](found, TARGET)
    np.testing.assert_allclose(ATTACKS[name](renamed, 3), score, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", OVER_CLIENTS)
def test_a_score_keeps_no_state(name):
    found, _ = made(name)
    before = found.copy(deep=True)
    first = ATTACKS[name](found, TARGET)
    ATTACKS[name](made(name, 6, 1.0)[0], 0)
    assert ATTACKS[name](found, TARGET).identical(first)
    assert found.identical(before)


@pytest.mark.parametrize("name", OVER_CLIENTS)
def test_only_what_it_needs_is_read(name):
    found, _ = made(name)
    attack = ATTACKS[name]
    assert attack(found[list(attack.needs)], TARGET).identical(attack(found, TARGET))


@pytest.mark.parametrize("name", OVER_CLIENTS)
def test_nan_is_refused(name):
    found = made(name)[0].copy(deep=True)
    for needed in ATTACKS[name].needs:
        found[needed] = found[needed].where(found["sample"] != 1007)
    with pytest.raises(UserError, match=f"'{ATTACKS[name].needs[0]}' has .* missing"):
        ATTACKS[name](found, TARGET)


@pytest.mark.parametrize("name", OVER_CLIENTS)
def test_a_missing_signal_is_refused(name):
    for needed in ATTACKS[name].needs:
        with pytest.raises(UserError, match=f"needs the signal '{needed}'"):
            ATTACKS[name](made(name)[0].drop_vars(needed), TARGET)


@pytest.mark.parametrize("name", OVER_CLIENTS)
def test_an_unknown_target_is_refused(name):
    with pytest.raises(UserError, match="no client 10"):
        ATTACKS[name](made(name)[0], CLIENTS)


@pytest.mark.parametrize("name", IN_ROUNDS)
def test_rounds_without_the_target_are_skipped(name):
    found, _ = made(name)
    later = found["round"] <= 40
    absent = found.copy()
    for needed in ATTACKS[name].needs:
        absent[needed] = found[needed].where(later)
    score = ATTACKS[name](absent, TARGET)
    expected = ATTACKS[name](found.isel(round=later.to_numpy()), TARGET)
    np.testing.assert_allclose(score, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ON_USERS)
def test_a_decision_is_a_yes_or_no_a_sample(name):
    found, owner = made(name)
    attack = ATTACKS[name]
    marked = attack.decide(found, TARGET)
    assert marked.dims == ("sample",)
    assert set(marked.coords) == {"sample"}
    np.testing.assert_array_equal(marked["sample"], found["sample"])
    assert marked.dtype == np.bool_
    assert attack.decide(found[list(attack.needs)], TARGET).identical(marked)
    assert pickle.loads(pickle.dumps(attack)).decide(found, TARGET).identical(marked)
    order = np.random.default_rng(0).permutation(found.sizes["sample"])
    shuffled = attack.decide(found.isel(sample=order), TARGET)
    np.testing.assert_array_equal(shuffled.sel(sample=marked["sample"]), marked)
    right, false = sides(marked, owner)
    assert right.mean() > 0.7
    assert right.mean() > false.mean() + 0.4


@pytest.mark.parametrize("name", ON_USERS)
def test_a_decision_without_a_leak_is_right_no_more_often_than_wrong(name):
    more = []
    for seed in range(20):
        found, owner = made(name, seed, 0.0)
        right, false = sides(ATTACKS[name].decide(found, TARGET), owner)
        more.append(right.mean() - false.mean())
    error = np.sqrt((1 / len(right) + 1 / len(false)) / 4 / len(more))
    assert abs(np.mean(more)) < 4 * error


def anyone(score, owner):
    return score.to_numpy()[owner >= 0], score.to_numpy()[owner == -1]


@pytest.mark.parametrize("name", OVER_ROUNDS)
def test_a_planted_leak_of_a_sum_is_found(name, leaky):
    found, owner = leaky
    assert auc(*anyone(ATTACKS[name](found, TARGET), owner)) > 0.75


@pytest.mark.parametrize("name", OVER_ROUNDS)
def test_no_leak_of_a_sum_is_chance(name):
    areas = []
    for seed in range(20):
        found, owner = signals(seed, leak=0.0)
        areas.append(auc(*anyone(ATTACKS[name](found, TARGET), owner)))
    error = np.sqrt((1 / (owner >= 0).sum() + 1 / (owner == -1).sum()) / 12 / len(areas))
    assert np.mean(areas) == pytest.approx(0.5, abs=4 * error)


@pytest.mark.parametrize("name", OVER_ROUNDS)
def test_a_score_of_a_sum_is_one_number_a_sample(name, leaky):
    found, _ = leaky
    score = ATTACKS[name](found, TARGET)
    assert score.dims == ("sample",)
    assert set(score.coords) == {"sample"}
    np.testing.assert_array_equal(score["sample"], found["sample"])
    assert score.dtype == np.float64
    assert np.isfinite(score).all()


@pytest.mark.parametrize("name", OVER_ROUNDS)
def test_an_attack_on_a_sum_looks_at_no_target(name, leaky):
    score = ATTACKS[name](leaky[0], TARGET)
    for target in (0, -1, CLIENTS):
        assert ATTACKS[name](leaky[0], target).identical(score)


@pytest.mark.parametrize("name", OVER_ROUNDS)
def test_rows_of_a_sum_are_joined_by_id(name, leaky):
    found, _ = leaky
    score = ATTACKS[name](found, TARGET)
    rng = np.random.default_rng(0)
    order, rounds = (rng.permutation(found.sizes[dim]) for dim in ("sample", "round"))
    shuffled = ATTACKS[name](found.isel(sample=order, round=rounds), TARGET)
    np.testing.assert_allclose(shuffled.sel(sample=score["sample"]), score, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", OVER_ROUNDS)
def test_a_score_of_a_sum_keeps_no_state(name, leaky):
    found, _ = leaky
    before = found.copy(deep=True)
    first = ATTACKS[name](found, TARGET)
    ATTACKS[name](signals(6, leak=1.0)[0], 0)
    assert ATTACKS[name](found, TARGET).identical(first)
    assert found.identical(before)


@pytest.mark.parametrize("name", OVER_ROUNDS)
def test_only_what_it_needs_is_read_of_a_sum(name, leaky):
    found, _ = leaky
    attack = ATTACKS[name]
    assert attack(found[list(attack.needs)], TARGET).identical(attack(found, TARGET))
    for needed in attack.needs:
        with pytest.raises(UserError, match=f"needs the signal '{needed}'"):
            attack(found.drop_vars(needed), TARGET)


@pytest.mark.parametrize("gap", [np.nan, np.inf])
@pytest.mark.parametrize("name", OVER_ROUNDS)
def test_gaps_in_a_sum_are_refused(name, gap, leaky):
    for needed in ATTACKS[name].needs:
        found = leaky[0].copy()
        found[needed] = found[needed].where(found["sample"] != 1007, gap)
        with pytest.raises(UserError, match=f"'{needed}' has 6 missing"):
            ATTACKS[name](found, TARGET)
        whole_round = leaky[0].copy()
        whole_round[needed] = whole_round[needed].where(whole_round["round"] != 20)
        with pytest.raises(UserError, match="the first in round 20"):
            ATTACKS[name](whole_round, TARGET)


@pytest.mark.parametrize("name", OVER_ROUNDS)
def test_a_sum_has_no_clients(name, leaky):
    for needed in ATTACKS[name].needs:
        found = leaky[0].copy()
        found[needed] = found[needed].expand_dims(client=found["client"])
        with pytest.raises(UserError, match=f"'{needed}' needs the dim sample"):
            ATTACKS[name](found, TARGET)


@pytest.fixture(scope="module")
def asked():
    """What the harness hands an attack on TARGET: queries, public records and inputs included."""
    found, _ = answers(5, leak=2.5, queries=2, public=220, features=2)
    return held_against(found, TARGET)


def model_auc(name, found, target):
    score = ATTACKS[name](held_against(found, target), target)
    member = found["member"].sel(model=target, sample=score["sample"]).to_numpy()
    return auc(score.to_numpy()[member], score.to_numpy()[~member]), member.mean()


@pytest.mark.parametrize("name", OVER_MODELS)
def test_a_planted_leak_of_a_model_is_found(name):
    found, _ = answers(5, leak=3.0)
    assert np.mean([model_auc(name, found, k)[0] for k in range(MODELS)]) > 0.72


@pytest.mark.parametrize("more", [{}, {"queries": 2, "public": 210, "features": 2}])
@pytest.mark.parametrize("name", OVER_MODELS)
def test_no_leak_of_a_model_is_chance(name, more):
    seeds, records = 12, 200
    areas = []
    for seed in range(seeds):
        found, _ = answers(seed, records=records, leak=0.0, **more)
        areas.append(model_auc(name, found, seed % MODELS)[0])
    error = np.sqrt(4 / records / 12 / seeds)
    assert np.mean(areas) == pytest.approx(0.5, abs=4 * error)


@pytest.mark.parametrize("name", OVER_MODELS)
def test_a_score_of_a_model_is_one_number_a_record(name, asked):
    score = ATTACKS[name](asked, TARGET)
    assert score.dims == ("sample",)
    assert set(score.coords) == {"sample"}
    np.testing.assert_array_equal(score["sample"], asked["sample"][~asked["public"]])
    assert score.dtype == np.float64
    assert np.isfinite(score).all()


@pytest.mark.parametrize("name", OVER_MODELS)
def test_records_are_joined_by_id(name, asked):
    score = ATTACKS[name](asked, TARGET)
    order = np.random.default_rng(0).permutation(asked.sizes["sample"])
    shuffled = ATTACKS[name](asked.isel(sample=order), TARGET)
    np.testing.assert_allclose(shuffled.sel(sample=score["sample"]), score, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", OVER_MODELS)
def test_the_order_of_models_and_axes_does_not_matter(name, asked):
    order = np.random.default_rng(0).permutation(asked.sizes["model"])
    turned = asked.isel(model=order).transpose(..., "model")
    score = ATTACKS[name](asked, TARGET)
    np.testing.assert_allclose(ATTACKS[name](turned, TARGET), score, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", OVER_MODELS)
def test_a_score_of_a_model_keeps_no_state(name, asked):
    before = asked.copy(deep=True)
    first = ATTACKS[name](asked, TARGET)
    other, _ = answers(6, leak=1.0)
    ATTACKS[name](held_against(other, 0), 0)
    assert ATTACKS[name](asked, TARGET).identical(first)
    assert asked.identical(before)


@pytest.mark.parametrize("name", OVER_MODELS)
def test_only_what_it_needs_is_read_of_models(name, asked):
    attack = ATTACKS[name]
    allowed = [*attack.needs, "public", "input"]
    assert attack(asked[allowed], TARGET).identical(attack(asked, TARGET))
    pool = asked.isel(sample=~asked["public"].to_numpy()).drop_vars(["public", "input"])
    assert attack(pool[list(attack.needs)], TARGET).identical(attack(pool, TARGET))


@pytest.mark.parametrize("name", OVER_MODELS)
def test_the_members_of_the_target_are_not_read(name, asked):
    score = ATTACKS[name](asked, TARGET)
    told = asked.copy(deep=True)
    told["member"].loc[{"model": TARGET}] = ~told["member"].sel(model=TARGET)
    assert ATTACKS[name](told, TARGET).identical(score)
    told["member"].loc[{"model": TARGET}] = np.random.default_rng(0).random(len(told.sample)) < 0.5
    assert ATTACKS[name](told, TARGET).identical(score)


@pytest.mark.parametrize("name", OVER_MODELS)
def test_gaps_in_answers_are_refused(name, asked):
    pool = asked.isel(sample=~asked["public"].to_numpy()).drop_vars("public")
    for needed in ATTACKS[name].needs:
        holed = pool.copy()
        holed[needed] = pool[needed].where(pool["sample"] != int(pool["sample"][7]))
        with pytest.raises(UserError, match=f"'{needed}' has .* missing"):
            ATTACKS[name](holed, TARGET)


@pytest.mark.parametrize("name", OVER_MODELS)
def test_missing_answers_are_refused(name, asked):
    for needed in ATTACKS[name].needs:
        if needed in asked:
            with pytest.raises(UserError, match=f"needs the signal '{needed}'"):
                ATTACKS[name](asked.drop_vars([needed, "public"]), TARGET)


@pytest.mark.parametrize("name", OVER_MODELS)
def test_an_unknown_target_model_is_refused(name, asked):
    with pytest.raises(UserError, match="no model 99"):
        ATTACKS[name](asked, 99)


@pytest.mark.parametrize("name", OVER_MODELS)
def test_asking_the_same_thing_again_tells_nothing_new(name):
    found = held_against(answers(2, leak=1.0)[0], TARGET)
    repeated = found.copy()
    for signal in set(ATTACKS[name].needs) - {"logits", "member", "label"}:
        repeated[signal] = found[signal].expand_dims(query=3)
    score = ATTACKS[name](found, TARGET)
    times = 3 if name == "label_only" else 1
    np.testing.assert_allclose(ATTACKS[name](repeated, TARGET), times * score, rtol=1e-6, atol=1e-9)
