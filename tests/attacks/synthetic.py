"""Signals made from a formula, and a Mann-Whitney AUC that owes nothing to the package."""

import numpy as np
import xarray as xr
from scipy.stats import rankdata

CLIENTS = 10


def signals(seed=0, *, rounds=6, clients=CLIENTS, own=60, held_out=200, leak=0.0, noise=1.0):
    """Every signal over ids that are not positions, and the owner of each sample.

    A member's measure on its owner's model is ``leak`` noise deviations higher.
    """
    rng = np.random.default_rng(seed)
    owner = np.concatenate([np.repeat(np.arange(clients), own), np.full(held_out, -1)])
    n = len(owner)
    shift = leak * noise * (owner == np.arange(clients)[:, None])
    difficulty = rng.normal(size=n)
    margin = difficulty + shift + noise * rng.normal(size=(rounds, clients, n))
    cosine = 0.005 * difficulty + 0.01 * (shift + noise * rng.normal(size=margin.shape))
    norm = np.exp(rng.normal(size=(rounds, n)) - leak * (owner >= 0))
    dims = ("round", "client", "sample")
    seen = difficulty + shift + noise * rng.normal(size=margin.shape)
    through = 0.005 * difficulty + 0.01 * (shift + noise * rng.normal(size=margin.shape))
    anyones = leak * noise * (owner >= 0)
    summed = difficulty + anyones + noise * rng.normal(size=(rounds, n))
    together = 0.005 * difficulty + 0.01 * (anyones + noise * rng.normal(size=(rounds, n)))
    return xr.Dataset(
        {
            "aggregate_loss": (("round", "sample"), np.log1p(np.exp(-summed))),
            "aggregate_cosine": (("round", "sample"), together),
            "loss": (dims, np.log1p(np.exp(-margin))),
            "cosine": (dims, cosine),
            "squared_gradient_norm": (("round", "sample"), norm),
            "gradient_difference": (dims, 5 * cosine + 1 - 0.01 * norm[:, None]),
            "adaptive_loss": (dims, np.log1p(np.exp(-seen)) - 0.5),
            "adaptive_cosine": (dims, through),
            "adaptive_squared_gradient_norm": (("round", "sample"), 2 * norm),
        },
        coords={
            "sample": 1000 + 7 * np.arange(n),
            "client": np.arange(clients),
            "round": 10 * np.arange(1, rounds + 1),
        },
    ), owner


def dataset(name, values, dims=("round", "client", "sample")):
    """One signal from an array, with ids 0, 1, …"""
    coords = {d: np.arange(s) for d, s in zip(dims, np.shape(values), strict=True)}
    return xr.Dataset({name: (dims, np.asarray(values, dtype=float))}, coords=coords)


def auc(member, nonmember):
    ranks = rankdata(np.concatenate([member, nonmember]))[: len(member)]
    return (ranks.mean() - (len(member) + 1) / 2) / len(nonmember)


def tpr(member, nonmember, fpr):
    """Share of members above a threshold that at most ``fpr`` of the non-members pass."""
    allowed = int(fpr * len(nonmember) + 1e-9)
    return np.mean(member > np.sort(nonmember)[::-1][allowed])
