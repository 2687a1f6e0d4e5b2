"""The attacks that read the target alone, against the formulas they stand for."""

import numpy as np
import pytest
from synthetic import dataset
from test_fedmia import SMALL, formula_losses

from seepage.attacks import (
    avg_cosine,
    blackbox_loss,
    grad_cosine,
    grad_diff,
    grad_norm,
    loss_series,
)

UPDATE = np.array([0.3, -0.1, 0.2, 0.0])
GRADIENTS = np.array([[3.0, -1, 2, 0], [0, 2, 1, 0], [-1, 0, 0, 2]])


def test_loss_series_by_hand():
    np.testing.assert_allclose(loss_series(dataset("loss", SMALL), 0), [-0.15, -1.4, -1.1])
    expected = [-0.575077, -0.942539, -1.336693, -1.186811]
    score = loss_series(dataset("loss", formula_losses()), 0)
    np.testing.assert_allclose(score, expected, atol=5e-7)


def test_blackbox_loss_reads_the_last_round():
    np.testing.assert_allclose(blackbox_loss(dataset("loss", SMALL[:1]), 0), [-0.2, -1.5, -1.2])
    expected = [-0.672789, -0.812323, -1.496807, -1.000003]
    score = blackbox_loss(dataset("loss", formula_losses()), 0)
    np.testing.assert_allclose(score, expected, atol=5e-7)


def test_last_means_the_highest_round_number():
    shuffled = dataset("loss", formula_losses()).isel(round=[2, 0, 1])
    expected = blackbox_loss(dataset("loss", formula_losses()), 0)
    np.testing.assert_array_equal(blackbox_loss(shuffled, 0), expected)


def test_gradient_scores_by_hand():
    inner, norm2 = GRADIENTS @ UPDATE, (GRADIENTS**2).sum(axis=1)
    cosine = inner / np.sqrt(norm2 * (UPDATE @ UPDATE))
    difference = UPDATE @ UPDATE - ((UPDATE - GRADIENTS) ** 2).sum(axis=1)
    np.testing.assert_allclose(difference, 2 * inner - norm2)

    score = grad_cosine(dataset("cosine", [[cosine]]), 0)
    np.testing.assert_allclose(score, [1, 0, -0.358569], atol=5e-7)
    score = grad_norm(dataset("squared_gradient_norm", [norm2], ("round", "sample")), 0)
    np.testing.assert_allclose(score, [-14, -5, -5])
    score = grad_diff(dataset("gradient_difference", [[difference]]), 0)
    np.testing.assert_allclose(score, [-11.2, -5, -5.6])


def test_avg_cosine_is_the_mean_over_rounds():
    cosine = np.random.default_rng(0).normal(size=(4, 3, 5))
    score = avg_cosine(dataset("cosine", cosine), 2)
    np.testing.assert_allclose(score, cosine[:, 2].mean(axis=0))


def test_the_gradient_norm_names_no_client():
    norms = dataset("squared_gradient_norm", np.ones((2, 3)), ("round", "sample"))
    np.testing.assert_array_equal(grad_norm(norms, 0), grad_norm(norms, 5))


@pytest.mark.parametrize("score", [blackbox_loss, loss_series])
def test_a_signal_without_rounds_or_clients_is_one_reading(score):
    once = dataset("loss", [0.3, 1.2], ("sample",))
    np.testing.assert_allclose(score(once, 4), [-0.3, -1.2])
