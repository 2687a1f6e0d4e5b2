"""A network that learns from the reference models what the answers about members look like."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from seepage.attacks.answers import (
    evenly,
    labels,
    of_model,
    over_queries,
    references,
    score_of,
    with_references,
)
from seepage.records import FloatArray, UserError

if TYPE_CHECKING:
    from sklearn.neural_network import MLPClassifier

MODELS = 4
"""Most reference models whose answers are learned from."""

ROWS = 6_000
"""Most answers that are learned from: with 100 classes a second or two."""

EPOCHS = 20
HIDDEN = (64, 32)
WEIGHT_DECAY = 6.0
"""Strong: the logits of 100 classes leave much to overfit in 6,000 rows."""
NEEDS = ("logits", "loss", "label", "member")


def nn(signals: xr.Dataset, target: int) -> xr.DataArray:
    r"""Log odds of membership, by a network on the logits, the label and the loss.

    .. math:: s_j = h\bigl(z(x_j),\ \mathrm{onehot}(y_j),\ \ell(x_j, y_j)\bigr)

    *h* has two hidden layers of 64 and 32 rectified units. It learns the cross-entropy of
    membership (member = 1) by Adam in 20 epochs, on the answers of the four reference models of
    lowest number, whose members are known, about at most 6,000 / 4 records evenly spaced by id.
    Logits and loss are standardised by these answers. The initial weights and the order of the
    rows are the same in every call.

    Args:
        signals: ``logits`` over ``model, sample, class``; ``loss`` [nat] over ``model, sample``
            and maybe ``query`` (the mean is taken); ``label``; ``member``.
        target: Model asked about.

    Returns:
        Score over ``sample``, higher for members.

    Raises:
        UserError: A signal or the target is missing, a signal has gaps, a label has no logit, or
            the reference models have no member or no non-member.

    References:
        | Comprehensive Privacy Analysis of Deep Learning (Nasr, Shokri, Houmansadr, 2019)
        | https://arxiv.org/abs/1812.00910
        | Overconfidence is a Dangerous Thing (Chen, Pattabiraman, 2024)
        | https://arxiv.org/abs/2307.01610

    Differs from these: they learn from the target's own answers about records known to be members
    and not; here the attacker knows none. The released code of the second labels members 0, so
    that its two kinds of error change places, and learns a squared error with a larger network.
    """
    few = with_references(signals, NEEDS, target, MODELS)
    logits, loss = of_model(few, "logits", target), over_queries(of_model(few, "loss", target))
    known, member = references(few, "logits", target)
    losses = over_queries(references(few, "loss", target)[0])
    label = labels(few)
    if label.max() >= logits.shape[1]:
        raise UserError(
            f"label {label.max()} has no logit: 'logits' has {logits.shape[1]} classes."
        )
    taken = evenly(member["sample"].to_numpy(), ROWS // len(member))
    inside = member.to_numpy()[:, taken].ravel()
    if inside.all() or not inside.any():
        raise UserError(
            "the reference models that teach have only members or only non-members among these "
            "records. Add reference models trained on others."
        )
    teach = _numbers(known.to_numpy()[:, taken], losses.to_numpy()[:, taken])
    center, spread = teach.mean(axis=0), teach.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    classes = np.eye(logits.shape[1], dtype=np.float32)
    repeated = np.tile(label[taken], len(member))
    network = _learned(_row((teach - center) / spread, classes[repeated]), inside)
    asked = (_numbers(logits.to_numpy(), loss.to_numpy()) - center) / spread
    return score_of(_log_odds(network, _row(asked, classes[label])), logits)


def _numbers(logits: FloatArray, loss: FloatArray) -> FloatArray:
    """Logits and loss side by side, one row an answer, float64."""
    both = np.concatenate([logits, loss[..., None]], axis=-1)
    return both.reshape(-1, both.shape[-1]).astype(np.float64)


def _row(numbers: FloatArray, onehot: FloatArray) -> FloatArray:
    return np.concatenate([numbers, onehot], axis=1)


def _learned(rows: FloatArray, inside: np.ndarray) -> MLPClassifier:
    from sklearn.neural_network import MLPClassifier

    network = MLPClassifier(hidden_layer_sizes=HIDDEN, alpha=WEIGHT_DECAY, random_state=0)
    for _ in range(EPOCHS):
        network.partial_fit(rows, inside, classes=[False, True])
    return network


def _log_odds(network: MLPClassifier, rows: FloatArray) -> FloatArray:
    """The last unit before its sigmoid: probabilities near 1 would be tied."""
    *hidden, last = zip(network.coefs_, network.intercepts_, strict=True)
    for weight, bias in hidden:
        rows = np.maximum(rows @ weight + bias, 0)
    return (rows @ last[0] + last[1])[:, 0]
