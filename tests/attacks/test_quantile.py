"""Quantile regression: honest deviations, and whose answers teach."""

import numpy as np
import pytest
import xarray as xr
from scipy.stats import spearmanr
from synthetic_models import answers, held_against

from seepage.attacks import lira_offline_fixed, quantile
from seepage.attacks.quantile import (
    FEWEST_PUBLIC,
    LENT,
    Lesson,
    _foretold,
    _from_references,
    _Smoother,
)


@pytest.mark.parametrize(("n", "p"), [(40, 3), (12, 30), (20, 0)])
def test_errors_are_those_of_a_fit_without_the_row(n, p):
    rng = np.random.default_rng(0)
    columns, wanted = rng.normal(size=(n, p)) * 3 + 1, rng.normal(size=n) + 2
    if p > 1:
        columns[:, 1] = 7.0
    smoother = _Smoother.of(columns)
    slope, level, missed = smoother.fit(wanted)
    design = np.column_stack([np.ones(n), smoother.rows])
    penalty = np.diag([0.0] + [p] * p)

    def solved(rows):
        x, y = design[rows], wanted[rows]
        return np.linalg.solve(x.T @ x + penalty, x.T @ y)

    np.testing.assert_allclose(level + columns @ slope, design @ solved(np.arange(n)), rtol=1e-9)
    for i in range(n):
        rest = np.delete(np.arange(n), i)
        assert missed[i] == pytest.approx(wanted[i] - design[i] @ solved(rest), rel=1e-9)


def test_a_class_is_foretold_by_its_mean_smoothed():
    label = np.array([0, 0, 0, 1, 1, 2])
    wanted = np.array([1.0, 2.0, 3.0, 10.0, 12.0, 5.0])
    nothing = np.empty((6, 0))
    lesson = Lesson(answers=wanted, columns=nothing, label=label, asked=np.empty((4, 0)))
    found, _ = _foretold(lesson, _Smoother.of(nothing), wanted, np.array([0, 1, 2, 3]))
    total = np.array([6.0, 22.0, 5.0, 0.0]) + LENT * wanted.mean()
    left_out = wanted - (total[label] - wanted) / (np.array([3, 3, 3, 2, 2, 1]) - 1 + LENT)
    expected = total / (np.array([3, 2, 1, 0]) + LENT) + left_out.mean()
    np.testing.assert_allclose(found, expected)


def made_up(n=3000, public=1500, leak=0.0):
    """One model whose scaled logits have a mean and a deviation that the inputs tell."""
    rng = np.random.default_rng(0)
    inputs, label = rng.normal(size=(n + public, 5)), rng.integers(4, size=n + public)
    deviation = np.exp(0.5 * inputs[:, 1])
    values = 3 * inputs[:, 0] + label + deviation * rng.normal(size=n + public)
    is_public = np.arange(n + public) >= n
    members = np.arange(n) % 2 == 0
    values[:n] += leak * members * deviation[:n]
    found = xr.Dataset(
        {
            "scaled_logit": (("model", "sample"), values[None]),
            "label": ("sample", label),
            "input": (("sample", "feature"), inputs),
            "public": ("sample", is_public),
        },
        coords={"model": [0], "sample": np.arange(n + public)},
    )
    return found, inputs[:n], members


def test_public_records_give_a_score_in_deviations_without_any_reference_model():
    found, inputs, _ = made_up()
    score = quantile(found, 0).to_numpy()
    for third in np.array_split(np.argsort(inputs[:, 1]), 3):
        assert score[third].mean() == pytest.approx(0, abs=0.15)
        assert score[third].std() == pytest.approx(1, abs=0.15)
    for third in np.array_split(np.argsort(inputs[:, 0]), 3):
        assert score[third].mean() == pytest.approx(0, abs=0.15)


def test_a_shift_of_members_is_read_off_in_deviations():
    found, _, members = made_up(leak=2.0)
    score = quantile(found, 0).to_numpy()
    assert score[members].mean() - score[~members].mean() == pytest.approx(2, abs=0.2)


def test_few_public_records_leave_it_to_the_reference_models():
    found, _ = answers(1, leak=1.0, public=FEWEST_PUBLIC, features=2)
    given = held_against(found, 0)
    alone = given.sel(model=[0])
    assert quantile(given, 0).identical(quantile(alone, 0))
    fewer = given.isel(sample=slice(0, -1))
    assert not quantile(fewer, 0).identical(quantile(given, 0))
    without = fewer.isel(sample=~fewer["public"].to_numpy())
    np.testing.assert_allclose(quantile(fewer, 0), quantile(without, 0))


def test_members_answers_teach_nothing():
    given = held_against(answers(1, leak=1.0, features=2)[0], 0)
    told = given.copy(deep=True)
    known = (given["model"] != 0) & given["member"]
    told["scaled_logit"] = given["scaled_logit"].where(~known, 1e3)
    assert quantile(told, 0).identical(quantile(given, 0))
    blind = given.drop_vars("input"), told.drop_vars("input")
    assert quantile(blind[0], 0).identical(quantile(blind[1], 0))


def test_reference_models_teach_with_the_answers_they_give_as_strangers():
    given = held_against(answers(1, models=12, queries=2)[0], 0)
    label = given["label"].to_numpy()
    lesson = _from_references(given, 0, label)
    phi = given["scaled_logit"].astype(float).mean("query").to_numpy()[1:]
    member = given["member"].to_numpy()[1:]
    expected = [
        (phi[i, j], label[j], phi[others & ~member[:, j], j].mean())
        for i in range(4)
        for others in [np.arange(len(phi)) != i]
        for j in np.argsort(given["sample"].to_numpy())
        if not member[i, j]
    ]
    taught = np.column_stack([lesson.answers, lesson.label, lesson.columns[:, 0]])
    np.testing.assert_allclose(taught, expected, rtol=1e-6, atol=1e-6)
    usual = np.where(member, 0, phi).sum(axis=0) / (~member).sum(axis=0)
    np.testing.assert_allclose(lesson.asked[:, 0], usual, rtol=1e-6, atol=1e-6)


def test_without_inputs_it_is_near_offline_lira():
    given = held_against(answers(1, leak=1.0, models=32, records=500)[0], 0)
    close = spearmanr(quantile(given, 0), lira_offline_fixed(given, 0)).statistic
    assert close > 0.95


def test_four_models_have_the_label_alone():
    given = held_against(answers(1, leak=1.0, models=4)[0], 0)
    score = quantile(given, 0)
    assert np.isfinite(score).all()
    for c in range(5):
        rows = (given["label"] == c).to_numpy()
        own = given["scaled_logit"].sel(model=0)[rows]
        np.testing.assert_array_equal(np.argsort(score[rows]), np.argsort(own))
