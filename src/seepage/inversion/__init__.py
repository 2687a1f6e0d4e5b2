"""Reconstructions of training data: priors, methods, regularizers, and an independent judge."""

from seepage.inversion.analytic import analytic_first_layer, labels_of
from seepage.inversion.client_round import ClientRound
from seepage.inversion.contract import (
    Inversion,
    Method,
    Prior,
    Reconstructed,
    Regularizer,
    Target,
)
from seepage.inversion.evaluator import Evaluator, train_evaluator
from seepage.inversion.gradient_inversion import Search, gradient_inversion
from seepage.inversion.priors import (
    PRIORS,
    PriorSettings,
    PriorStore,
    prior_key,
    train_prior,
)
from seepage.inversion.regularizers import REGULARIZERS, build_regularizer
from seepage.inversion.settings import fitting
from seepage.inversion.table import INVERSIONS

__all__ = [
    "INVERSIONS",
    "PRIORS",
    "REGULARIZERS",
    "ClientRound",
    "Evaluator",
    "Inversion",
    "Method",
    "Prior",
    "PriorSettings",
    "PriorStore",
    "Reconstructed",
    "Regularizer",
    "Search",
    "Target",
    "analytic_first_layer",
    "build_regularizer",
    "fitting",
    "gradient_inversion",
    "labels_of",
    "prior_key",
    "train_evaluator",
    "train_prior",
]
