"""Signals of a curious participant made from a formula: who declared what, and who took part."""

import numpy as np
import xarray as xr

CLIENTS, CLASSES, ROUNDS = 6, 12, 60


def user_signals(seed=0, *, leak=0.0, own=60, held_out=200):
    """Every signal that attacks on users read, and the owner of each sample.

    Client *k* declares classes 2k and 2k + 1. With a leak its records are of these, and whatever is
    measured on them leans their way; without one nothing goes with the owner.
    """
    rng = np.random.default_rng(seed)
    owner = np.concatenate([np.repeat(np.arange(CLIENTS), own), np.full(held_out, -1)])
    n, coin = len(owner), rng.integers(2, size=(CLIENTS * own + held_out))
    label = rng.integers(CLASSES, size=n)
    if leak:
        label = np.where(owner >= 0, 2 * owner + coin, label)
    declared = np.kron(np.eye(CLIENTS), np.ones(2))

    def answer():
        logits = rng.normal(size=(n, CLASSES)) + 2 * leak * (np.arange(CLASSES) == label[:, None])
        return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)

    member = owner == np.arange(CLIENTS)[:, None]
    noise = rng.normal(size=(6, ROUNDS, n))
    attendance = np.zeros((ROUNDS, CLIENTS))
    for row in attendance:
        row[rng.permutation(CLIENTS)[:3]] = 1 / 3
    parts = rng.normal(size=n) + leak * member
    after = 3 + rng.normal(size=(ROUNDS, CLIENTS, n)) - leak * member
    each = ("round", "client", "sample")
    seen = ("round", "sample")
    return xr.Dataset(
        {
            "label": ("sample", label),
            "declared": (("client", "class"), declared),
            "generated_answer": (("sample", "class"), answer()),
            "global_answer": (("sample", "class"), answer()),
            "own_answer": (("sample", "class"), answer()),
            "global_loss": (seen, 3 + noise[0] - leak * (owner >= 0)),
            "start_loss": (seen, 5 + noise[1]),
            "others_cosine": (seen, 0.01 * (noise[2] + leak * (owner >= 0))),
            "others_projection": (seen, attendance @ parts + noise[3] / 3),
            "attendance": (("round", "client"), attendance),
            "loss": (each, after),
            "dealt_loss": (each, 5 + rng.normal(size=after.shape)),
        },
        coords={
            "sample": 1000 + 7 * np.arange(n),
            "client": np.arange(CLIENTS),
            "round": np.arange(1, ROUNDS + 1),
            "class": np.arange(CLASSES),
        },
    ), owner
