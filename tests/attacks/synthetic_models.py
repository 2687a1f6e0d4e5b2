"""Answers of many models made from a formula, and what stands between them and an attack."""

import numpy as np
import xarray as xr
from scipy.special import log_softmax, logsumexp

MODELS = 8


def assignment(rng, models, records):
    """Who was trained on what: models 2j and 2j + 1 share out all records by fair coins."""
    coins = rng.random((models // 2, records)) < 0.5
    return np.stack([coins, ~coins], axis=1).reshape(models, records)


def answers(
    seed=0,
    *,
    models=MODELS,
    records=200,
    classes=5,
    queries=1,
    leak=0.0,
    public=0,
    features=0,
    same_label=False,
):
    """Every signal a black-box audit measures, over ids that are not positions, and the truth.

    The logits of a record are its own difficulty on the true class, which its input tells in part,
    plus noise of each model and query; a model that was trained on the record is ``leak`` surer.

    Returns:
        The Dataset as measured (with the whole of ``member``), and ``member`` as an array, where
        the last ``public`` records are nobody's.
    """
    rng = np.random.default_rng(seed)
    n = records + public
    member = np.zeros((models, n), dtype=bool)
    member[:, :records] = assignment(rng, models, records)
    label = np.zeros(n, dtype=int) if same_label else rng.integers(classes, size=n)
    inputs = rng.normal(size=(n, max(features, 1)))
    true = np.eye(classes)[label]
    difficulty = 1 + inputs[:, 0] + 0.5 * rng.normal(size=n)
    logits = true * (difficulty[:, None] + leak * member[..., None]) + rng.normal(
        size=(models, n, classes)
    )
    asked = logits[:, :, None] + 0.3 * rng.normal(size=(models, n, queries, classes)) * (
        np.arange(queries)[:, None] > 0
    )
    signals = {
        name: (("model", "sample", "query"), values.astype(np.float32))
        for name, values in measured(asked, label).items()
    }
    signals |= {
        "logits": (("model", "sample", "class"), logits.astype(np.float32)),
        "member": (("model", "sample"), member),
        "label": ("sample", label),
    }
    if public:
        signals["public"] = ("sample", np.arange(n) >= records)
    if features:
        signals["input"] = (("sample", "feature"), inputs.astype(np.float32))
    ids = 1000 + 7 * rng.permutation(n)
    found = xr.Dataset(signals, coords={"sample": ids, "model": np.arange(models)})
    return (found if queries > 1 else found.isel(query=0)), member


def measured(logits, label):
    """The signals of logits ``(model, sample, query, class)``, from their definitions."""
    own = label[:, None, None]
    true = np.take_along_axis(logits, np.broadcast_to(own, (*logits.shape[:3], 1)), -1)
    is_true = np.arange(logits.shape[-1]) == own
    others = np.where(is_true, -np.inf, logits)
    log_p = log_softmax(logits, axis=-1)
    p = np.exp(log_p)
    scaled = true[..., 0] - logsumexp(others, axis=-1)
    below = np.where(is_true, 0.0, p * np.log1p(-p)).sum(-1)
    above = (others > true).sum(-1) + 0.5 * (others == true).sum(-1)
    return {
        "scaled_logit": scaled,
        "loss": np.logaddexp(0, -scaled),
        "confidence": 1 / (1 + np.exp(-scaled)),
        "entropy": -(p * log_p).sum(-1),
        "modified_entropy": (1 - np.where(is_true, p, 0).sum(-1)) * np.logaddexp(0, -scaled)
        - below,
        "margin": true[..., 0] - others.max(-1),
        "correct": (above == 0).astype(float),
        "rank": above,
    }


def held_against(signals, target):
    """What an attack on ``target`` is given: its row of ``member`` blank, its complement gone.

    Models are numbered in pairs of complements, 2j and 2j + 1, wherever they stand.
    """
    given = signals.copy()
    blank = signals["member"].copy()
    blank.loc[{"model": target}] = False
    given["member"] = blank
    return given.drop_sel(model=target ^ 1)


def scaled_logits(own, inside, outside):
    """A Dataset from scaled logits alone: target 0, then models IN, then models OUT of all.

    Args:
        own: The target's, ``(n,)`` or ``(n, queries)``.
        inside: Of models trained on every record, ``(models, n[, queries])``.
        outside: Of models trained on none, likewise.
    """
    own, inside, outside = (np.asarray(a, dtype=float) for a in (own, inside, outside))
    values = np.concatenate([own[None], inside, outside])
    member = np.zeros(values.shape[:2], dtype=bool)
    member[1 : 1 + len(inside)] = True
    dims = ("model", "sample", "query")[: values.ndim]
    return xr.Dataset(
        {"scaled_logit": (dims, values), "member": (("model", "sample"), member)},
        coords={"model": np.arange(len(values)), "sample": np.arange(values.shape[1])},
    )
