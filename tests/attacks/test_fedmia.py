"""FedMIA's arithmetic, its law when nothing leaks, and what it can find, each against an oracle."""

import numpy as np
import pytest
from scipy.stats import norm, t
from synthetic import auc, dataset, tpr

from seepage.attacks import fedmia_cosine, fedmia_loss
from seepage.attacks.fedmia import below_three_deviations

SMALL = np.array(
    [
        [[0.20, 1.50, 1.20], [0.90, 1.40, 1.10], [1.10, 1.60, 0.30], [1.00, 1.50, 1.30]],
        [[0.10, 1.30, 1.00], [0.80, 1.20, 0.90], [0.70, 1.50, 0.20], [0.90, 1.20, 1.10]],
    ]
)


def formula_losses():
    r, k, s = np.ogrid[:3, :5, :4]
    loss = 1 + 0.3 * np.sin(r + 2 * k + 3 * s) + 0.1 * s
    loss[:, 0, 0] -= 0.6
    loss[:, 2, 2] -= 0.6
    return loss


def slowly(measure, target, *, filtered=True):
    """FedMIA one number at a time, with the standard library's normal law."""
    rounds, clients, n = measure.shape
    score = np.zeros(n)
    for j in range(n):
        for r in range(rounds):
            others = [measure[r, k, j] for k in range(clients) if k != target]
            bound = np.mean(others) + 3 * np.std(others)
            if filtered:
                others = [m for m in others if m < bound] or [min(others)]
            deviation = np.sqrt(np.mean((others - np.mean(others)) ** 2) + 1e-8)
            score[j] += norm.cdf((measure[r, target, j] - np.mean(others)) / deviation) / rounds
    return score


def test_small_table_by_hand():
    score = fedmia_loss(dataset("loss", SMALL), 0)
    np.testing.assert_allclose(score, [1.0, 0.5, 0.24424], atol=5e-6)
    assert abs(score[2] - 0.28583) > 0.04, "the deviation is the population's"


def test_formula_data():
    score = fedmia_loss(dataset("loss", formula_losses()), 0)
    np.testing.assert_allclose(score, [0.964094, 0.706612, 0.284403, 0.627241], atol=5e-7)


def test_the_two_measures_differ_in_sign_alone():
    np.testing.assert_array_equal(
        fedmia_cosine(dataset("cosine", -SMALL), 1), fedmia_loss(dataset("loss", SMALL), 1)
    )


@pytest.mark.parametrize("clients", [3, 4, 10, 11, 12, 20])
def test_matches_one_number_at_a_time(clients):
    measure = np.random.default_rng(clients).standard_t(2, size=(3, clients, 15))
    measure[0, 1 % clients, :5] += 50
    score = fedmia_cosine(dataset("cosine", measure), 0)
    np.testing.assert_allclose(score, slowly(measure, 0), rtol=1e-9)


def test_others_in_any_order():
    measure = dataset("loss", formula_losses())
    renamed = measure.isel(client=[0, 3, 1, 4, 2])
    np.testing.assert_allclose(fedmia_loss(renamed, 0), fedmia_loss(measure, 0), atol=1e-12)


def test_a_constant_for_all_clients_changes_nothing():
    shift = np.random.default_rng(0).normal(size=(3, 1, 4))
    moved = fedmia_loss(dataset("loss", formula_losses() + shift), 0)
    np.testing.assert_allclose(moved, fedmia_loss(dataset("loss", formula_losses()), 0), atol=1e-9)


def test_scale_changes_nothing_up_to_the_floor():
    scaled = fedmia_loss(dataset("loss", 50 * formula_losses()), 0)
    np.testing.assert_allclose(scaled, fedmia_loss(dataset("loss", formula_losses()), 0), atol=1e-6)


def test_a_target_at_the_mean_scores_one_half():
    measure = np.random.default_rng(1).normal(size=(4, 6, 8))
    measure[:, 0] = measure[:, 1:].mean(axis=1)
    np.testing.assert_allclose(fedmia_cosine(dataset("cosine", measure), 0), 0.5, atol=1e-12)
    equal = np.full((4, 13, 8), 0.5)  # no rounding: none is strictly below the bound
    np.testing.assert_allclose(fedmia_cosine(dataset("cosine", equal), 0), 0.5, atol=1e-6)


def test_null_law_of_one_round():
    """(M - μ)/σ is √(10/8) times a t₈, so the score is wider than uniform and no p-value."""
    n = 200_000
    score = fedmia_loss(dataset("loss", np.random.default_rng(7).normal(size=(1, 10, n))), 0)
    deviation = 0.316
    assert float(score.mean()) == pytest.approx(0.5, abs=4 * deviation / np.sqrt(n))
    assert float(score.std()) == pytest.approx(deviation, abs=0.0015)
    above = t.sf(norm.ppf(0.999) / np.sqrt(1.25), 8)
    assert above == pytest.approx(0.0124, abs=2e-4)
    assert float((score > 0.999).mean()) == pytest.approx(above, abs=4 * np.sqrt(above / n))


def test_null_law_of_thirty_rounds():
    n = 20_000
    score = fedmia_loss(dataset("loss", np.random.default_rng(8).normal(size=(30, 10, n))), 0)
    assert float(score.std()) == pytest.approx(0.0577, abs=4 * 0.0577 / np.sqrt(2 * n))
    assert float(score.quantile(0.999)) == pytest.approx(0.677, abs=0.012)


@pytest.mark.parametrize(("shift", "mean"), [(0.5, 0.641), (1, 0.764), (2, 0.923), (3, 0.982)])
def test_power_of_one_round(shift, mean):
    n = 40_000
    measure = np.random.default_rng(9).normal(size=(1, 10, n))
    measure[:, 0] += shift
    score = fedmia_cosine(dataset("cosine", measure), 0)
    assert float(score.mean()) == pytest.approx(
        mean, abs=5e-4 + 4 * float(score.std()) / np.sqrt(n)
    )


@pytest.mark.parametrize(("shift", "found"), [(0.25, 0.029), (0.5, 0.26), (1, 0.96)])
def test_power_of_thirty_rounds(shift, found):
    measure = np.random.default_rng(10).normal(size=(30, 10, 22_000))
    measure[:, 0, 20_000:] += shift
    score = fedmia_cosine(dataset("cosine", measure), 0).to_numpy()
    rate = tpr(score[20_000:], score[:20_000], 0.001)
    # 2,000 members, and a threshold that rests on 20 of the non-members
    assert rate == pytest.approx(found, abs=4 * np.sqrt(found * (1 - found) / 2_000) + 0.25 * found)
    assert auc(score[20_000:], score[:20_000]) > 0.8


@pytest.mark.parametrize(("shift", "mean"), [(2, 0.442), (5, 0.394), (20, 0.365)])
def test_a_member_of_another_client_scores_low(shift, mean):
    n = 40_000
    measure = np.random.default_rng(11).normal(size=(1, 10, n))
    measure[:, 4] += shift
    score = fedmia_cosine(dataset("cosine", measure), 0)
    assert float(score.mean()) == pytest.approx(
        mean, abs=5e-4 + 4 * float(score.std()) / np.sqrt(n)
    )


def test_a_member_of_another_client_in_the_limit():
    measure = np.zeros((1, 10, 1))
    measure[:, 4] = 1e6
    score = fedmia_cosine(dataset("cosine", measure), 0)
    assert float(score[0]) == pytest.approx(norm.cdf(-1 / np.sqrt(8)), abs=1e-9)


@pytest.mark.parametrize(("others", "dropped"), [(8, 0), (9, 0), (11, 1), (19, 1)])
def test_three_deviation_filter_can_fire_from_eleven_others_on(others, dropped):
    measure = np.zeros((1, others, 1))
    measure[0, 0, 0] = 1.0
    kept = below_three_deviations(dataset("cosine", measure)["cosine"])
    assert int(kept.isnull().sum()) == dropped


def test_nine_others_can_never_be_filtered():
    """The bound in the code is no setting: it is where √(n - 1) passes 3."""
    measure = np.random.default_rng(12).standard_cauchy(size=(50, 9, 200))
    bound = measure.mean(axis=1) + 3 * measure.std(axis=1)
    assert (measure < bound[:, None]).all()


def test_the_filter_changes_the_score_where_it_fires():
    measure = np.random.default_rng(13).normal(size=(2, 14, 5))
    measure[:, 3] += 30
    score = fedmia_cosine(dataset("cosine", measure), 0)
    np.testing.assert_allclose(score, slowly(measure, 0), rtol=1e-9)
    assert np.abs(score - slowly(measure, 0, filtered=False)).max() > 0.05
