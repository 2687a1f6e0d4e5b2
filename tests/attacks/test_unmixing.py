"""Sums taken apart by attendance: exact mixtures, noise, and every way not to tell."""

from itertools import combinations

import numpy as np
import pytest
import xarray as xr
from synthetic import auc

from seepage.attacks import unmixed_cosine
from seepage.records import UserError

CLIENTS, N = 5, 8


def teams(size=2, clients=CLIENTS):
    """Every choice of so many clients once, each with the same weight."""
    chosen = list(combinations(range(clients), size))
    weights = np.zeros((len(chosen), clients))
    for row, team in zip(weights, chosen, strict=True):
        row[list(team)] = 1 / size
    return weights


def mixture(weights, parts, noise=0.0, rounds=None, clients=None):
    rounds = np.arange(len(weights)) if rounds is None else rounds
    clients = np.arange(weights.shape[1]) if clients is None else clients
    return xr.Dataset(
        {
            "others_projection": (("round", "sample"), weights @ parts + noise),
            "attendance": (("round", "client"), weights),
        },
        coords={"round": rounds, "client": clients, "sample": np.arange(parts.shape[1])},
    )


def contrast(parts, target):
    return parts[target] - np.delete(parts, target, axis=0).mean(axis=0)


@pytest.mark.parametrize("size", range(1, CLIENTS))
def test_an_exact_mixture_is_taken_apart_exactly(size):
    parts = np.random.default_rng(size).normal(size=(CLIENTS, N))
    found = mixture(teams(size), parts)
    for k in range(CLIENTS):
        np.testing.assert_allclose(unmixed_cosine(found, k), contrast(parts, k), atol=1e-9)


def test_unequal_weights_and_teams_are_taken_apart_too():
    rng = np.random.default_rng(0)
    weights = rng.random((9, CLIENTS)) * (rng.random((9, CLIENTS)) < 0.6)
    parts = rng.normal(size=(CLIENTS, N))
    np.testing.assert_allclose(
        unmixed_cosine(mixture(weights, parts), 2), contrast(parts, 2), atol=1e-9
    )


def test_it_is_least_squares_by_the_normal_equations():
    rng = np.random.default_rng(1)
    weights, parts = teams(3), rng.normal(size=(CLIENTS, N))
    found = mixture(weights, parts, rng.normal(size=(10, N)))
    y = found["others_projection"].to_numpy()
    fitted = np.linalg.solve(weights.T @ weights, weights.T @ y)
    np.testing.assert_allclose(unmixed_cosine(found, 1), contrast(fitted, 1), atol=1e-9)


def test_noise_of_mean_zero_leaves_it_unbiased():
    rng = np.random.default_rng(2)
    parts = np.repeat(rng.normal(size=(CLIENTS, 1)), 4000, axis=1)
    found = unmixed_cosine(mixture(teams(2), parts, rng.normal(size=(10, 4000))), 0).to_numpy()
    error = found.std() / np.sqrt(len(found))
    assert abs(found.mean() - contrast(parts, 0)[0]) < 4 * error
    assert error < 0.05


def test_what_all_clients_have_in_common_does_not_matter():
    rng = np.random.default_rng(3)
    parts = rng.normal(size=(CLIENTS, N))
    plain = unmixed_cosine(mixture(teams(), parts), 4)
    raised = unmixed_cosine(mixture(teams(), parts + rng.normal(size=N)), 4)
    np.testing.assert_allclose(raised, plain, atol=1e-9)


def test_the_contrast_is_told_where_single_parts_are_not():
    """Clients 1 and 2 always come together: their sum is told, and so is 0 against both."""
    weights = np.array([[0.5, 0, 0], [0, 0.5, 0.5], [0.5, 0.5, 0.5]])
    parts = np.random.default_rng(4).normal(size=(3, N))
    np.testing.assert_allclose(
        unmixed_cosine(mixture(weights, parts), 0), contrast(parts, 0), atol=1e-9
    )
    with pytest.raises(UserError, match="3 rounds do not tell client 1 from the 2 others"):
        unmixed_cosine(mixture(weights, parts), 1)


def leaking(seed, rounds=40, n=120):
    rng = np.random.default_rng(seed)
    weights = teams(2)[rng.permutation(10)[np.arange(rounds) % 10]]
    owner = np.repeat(np.arange(CLIENTS), n // CLIENTS)
    parts = rng.normal(size=n) + (owner == np.arange(CLIENTS)[:, None])
    return mixture(weights, parts, rng.normal(size=(rounds, n))), owner


def mean_area(found, owner):
    areas = []
    for k in range(CLIENTS):
        score = unmixed_cosine(found, k).to_numpy()
        areas.append(auc(score[owner == k], score[owner != k]))
    return np.mean(areas)


def test_whose_it_is_is_in_the_attendance_alone():
    true, torn = [], []
    for seed in range(10):
        found, owner = leaking(seed)
        true.append(mean_area(found, owner))
        order = np.random.default_rng(seed).permutation(found.sizes["round"])
        shuffled = found["attendance"].copy(data=found["attendance"].to_numpy()[order])
        torn.append(mean_area(found.assign(attendance=shuffled), owner))
    assert np.mean(true) > 0.9
    assert abs(np.mean(torn) - 0.5) < 4 * np.std(torn) / np.sqrt(len(torn))
    assert np.std(torn) < 0.15


def test_the_insiders_own_clients_are_no_part_of_it():
    parts = np.random.default_rng(5).normal(size=(CLIENTS, N))
    found = mixture(teams(), parts)
    expected = unmixed_cosine(found, 0)
    with_insider = found.reindex(client=range(CLIENTS + 2))  # NaN for 5 and 6
    np.testing.assert_allclose(unmixed_cosine(with_insider, 0), expected)
    with pytest.raises(UserError, match="client 5 took part in no observed round, or is the ins"):
        unmixed_cosine(with_insider, 5)


def test_rounds_that_were_not_measured_or_had_nobody_are_left_out():
    rng = np.random.default_rng(6)
    weights, parts = teams(), rng.normal(size=(CLIENTS, N))
    found = mixture(weights, parts, rng.normal(size=(10, N)))
    expected = unmixed_cosine(found.isel(round=slice(8)), 0)
    unmeasured = found.copy()
    unmeasured["others_projection"] = found["others_projection"].where(found["round"] < 8)
    np.testing.assert_allclose(unmixed_cosine(unmeasured, 0), expected)
    empty = found.copy()
    empty["attendance"] = found["attendance"].where(found["round"] < 8, 0)
    np.testing.assert_allclose(unmixed_cosine(empty, 0), expected)
    always = empty.copy()
    always["attendance"][:8, 0] = np.arange(1, 9) / 10
    with pytest.raises(UserError, match="client 0 took part in every observed round"):
        unmixed_cosine(always, 0)


def test_who_took_no_part_is_0_or_nan():
    rng = np.random.default_rng(10)
    found = mixture(teams(), rng.normal(size=(CLIENTS, N)), rng.normal(size=(10, N)))
    missing = found.assign(attendance=found["attendance"].where(found["attendance"] > 0))
    assert unmixed_cosine(missing, 3).identical(unmixed_cosine(found, 3))


def test_rounds_are_joined_by_number():
    rng = np.random.default_rng(7)
    found = mixture(teams(), rng.normal(size=(CLIENTS, N)), rng.normal(size=(10, N)))
    expected = unmixed_cosine(found, 0)
    order = rng.permutation(10)
    np.testing.assert_allclose(unmixed_cosine(found.isel(round=order), 0), expected)


def test_what_cannot_be_told_is_refused():
    parts = np.random.default_rng(8).normal(size=(CLIENTS, N))
    always = np.full((10, CLIENTS), 1 / CLIENTS)
    with pytest.raises(UserError, match=r"every observed round.*federation\.participation below 1"):
        unmixed_cosine(mixture(always, parts), 0)
    with pytest.raises(UserError, match=r"3 rounds do not tell client 0.*Observe more rounds"):
        unmixed_cosine(mixture(teams()[[0, 5, 9]], parts), 0)
    never = teams() * (np.arange(CLIENTS) != 2)
    with pytest.raises(UserError, match="client 2 took part in no observed round"):
        unmixed_cosine(mixture(never, parts), 2)
    alone = np.array([[1.0, 0], [0, 0], [1, 0]])
    with pytest.raises(UserError, match="nobody but client 0"):
        unmixed_cosine(mixture(alone, parts[:2]), 0)
    flat = mixture(teams(), parts)
    flat["attendance"] = flat["attendance"].isel(round=0, drop=True)
    with pytest.raises(UserError, match="'attendance' needs the dims round and client"):
        unmixed_cosine(flat, 0)


def test_a_team_of_fixed_size_that_the_target_never_leaves_tells_nothing():
    """All that varies is who else is there: the others can be told apart, the target cannot."""
    weights = teams(1, CLIENTS - 1)
    weights = np.concatenate([np.full((4, 1), 0.5), weights / 2], axis=1)
    parts = np.random.default_rng(9).normal(size=(CLIENTS, N))
    with pytest.raises(UserError, match="client 0 took part in every observed round"):
        unmixed_cosine(mixture(weights, parts), 0)
