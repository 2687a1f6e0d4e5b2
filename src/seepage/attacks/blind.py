"""Scores that never see the model. Where one of them is off chance, no attack's score is leakage.

They learn from the truth, so they are checks and not attacks, and stand in a table of their own.

One half of the records teaches, the other half is judged. Folds that take turns would use every
record twice, but then the scores of each fold depend on the membership of all the others: pooled,
their AUC has a larger variance than the interval of independent records says, and a check raises
false alarms (on digits with 30 records for each of ten clients, 4 in 60 where 1 in 260 was
asked). Given the teaching half, the judged half is independent, and the interval is honest.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from seepage.records import HELD_OUT, FloatArray, IntArray, UserError

BoolArray = NDArray[np.bool_]

FEWEST = 5
COMPONENTS = 64
ROWS_FOR_COMPONENTS = 1_000


def teaching_half(owner: IntArray, rng: Generator) -> BoolArray:
    """A random half of the records of every owner, and of those held out, to learn from.

    Drawn once for all targets: a record that teaches for one target is judged for none.

    Args:
        owner: Owner of each record, or -1 for held out, shape ``(n,)``.
        rng: Draws the half; of an odd number the smaller part teaches.
    """
    teaches = np.zeros(owner.shape, dtype=np.bool_)
    for who in np.unique(owner):
        rows = rng.permutation(np.flatnonzero(owner == who))
        teaches[rows[: len(rows) // 2]] = True
    return teaches


def blind_label(labels: IntArray, is_member: BoolArray, teaches: BoolArray) -> FloatArray:
    r"""Membership from the label alone.

    .. math:: s_j = \log\frac{p(y_j \mid \text{member})}{p(y_j \mid \text{non-member})},\qquad
        p(c \mid \cdot) = \frac{n_c + 1}{n + C}

    with the counts of the teaching half; then ranked among the judged. Where these counts differ
    between members and non-members no more than chance would have them
    (their chi-square is at most its mean), the ratio is shrunk to nothing, as the positive-part
    James-Stein rule has it. Labels dealt out evenly on purpose differ by less than chance; without
    the rule one half would then lean against the other and the AUC fall below 0.5.

    Args:
        labels: Class numbers, shape ``(n,)``.
        is_member: True for members, shape ``(n,)``.
        teaches: True for the records to learn from, shape ``(n,)``: see :func:`teaching_half`.

    Returns:
        Score in (0, 1), shape ``(n,)``, higher for members; NaN for the records that teach.

    Raises:
        UserError: Shapes differ, or fewer than 5 members or 5 non-members teach.
    """
    _check_shapes(labels, is_member, teaches)
    labels = np.unique(labels, return_inverse=True)[1].ravel()
    classes = int(labels.max(initial=0)) + 1

    def raw() -> FloatArray:
        return _log_ratio(labels[teaches], is_member[teaches], classes)[labels]

    return _judged(raw, is_member, teaches)


def blind_input(
    inputs: FloatArray,
    labels: IntArray,
    is_member: BoolArray,
    teaches: BoolArray,
    rng: Generator,
) -> FloatArray:
    """Membership from the record itself, given its label.

    A ridge regression of membership on the leading principal components of the inputs, less their
    class means, and on the squares of these: the first carry a shift of the mean, the second a
    change of spread. A shift of the labels is left to :func:`blind_label`. The components, at
    most 64, are found without the truth on at most 1,000 rows. Linear and closed on purpose: it
    needs no tuning, cannot fail to converge, and takes a second on 10,000 images.

    Args:
        inputs: Records, shape ``(n, d)``.
        labels: Class numbers, shape ``(n,)``.
        is_member: True for members, shape ``(n,)``.
        teaches: True for the records to learn from, shape ``(n,)``: see :func:`teaching_half`.
        rng: Draws the rows that the components are found on.

    Returns:
        Score in (0, 1), shape ``(n,)``, higher for members; NaN for the records that teach.

    Raises:
        UserError: Shapes differ, inputs are not finite, or fewer than 5 members or 5 non-members
            teach.
    """
    _check_shapes(labels, is_member, teaches)
    if inputs.ndim != 2 or len(inputs) != len(labels):
        raise UserError(
            f"inputs need shape (n, d) with one row for each of {len(labels)} labels, "
            f"got {inputs.shape}."
        )
    if not np.isfinite(inputs).all():
        raise UserError("inputs hold NaN or infinite values. Clean the data set first.")
    components = _less_class_means(_principal_components(inputs, rng), labels)
    features = _standardised(np.concatenate([components, components**2], axis=1))

    def raw() -> FloatArray:
        return features @ _ridge(features[teaches], is_member[teaches])

    return _judged(raw, is_member, teaches)


def placebo(ids: IntArray, owner: IntArray, rng: Generator) -> BoolArray:
    """A random half of the held-out records, to be called members although nobody trained on them.

    Args:
        ids: Sample ids, shape ``(n,)``.
        owner: Owner of each, or -1 for held out, shape ``(n,)``.
        rng: Draws the half.

    Returns:
        True for the records called members, shape ``(n,)``; False for all that are not held out.
        Of an odd number of held-out records the smaller half is called members. The choice
        depends on the ids and not on their order.
    """
    held_out = np.sort(ids[owner == HELD_OUT])
    return np.isin(ids, rng.permutation(held_out)[: len(held_out) // 2])


def _judged(raw: Callable[[], FloatArray], is_member: BoolArray, teaches: BoolArray) -> FloatArray:
    """Midranks of what ``raw`` gives, among the judged records; NaN for those that teach."""
    for kind, rows in (("members", is_member & teaches), ("non-members", ~is_member & teaches)):
        if rows.sum() < FEWEST:
            raise UserError(
                f"a blind check learns from at least {FEWEST} {kind}, got {rows.sum()}."
            )
    judged = ~teaches
    _, place, counts = np.unique(raw()[judged], return_inverse=True, return_counts=True)
    scores = np.full(is_member.shape, np.nan)
    scores[judged] = ((np.cumsum(counts) - counts / 2) / counts.sum())[place.ravel()]
    return scores


def _check_shapes(labels: IntArray, is_member: BoolArray, teaches: BoolArray) -> None:
    if labels.ndim != 1 or not labels.shape == is_member.shape == teaches.shape:
        shapes = f"{labels.shape}, {is_member.shape} and {teaches.shape}"
        raise UserError(f"labels, is_member and teaches need one shape (n,), got {shapes}.")


def _log_ratio(labels: IntArray, is_member: BoolArray, classes: int) -> FloatArray:
    """Log ratio of smoothed class shares, or zeros where chance explains the difference."""
    counts = np.stack(
        [np.bincount(labels[is_member == side], minlength=classes) for side in (True, False)]
    ).astype(np.float64)
    expected = counts.sum(axis=0) * counts.sum(axis=1, keepdims=True) / counts.sum()
    seen = expected[0] > 0
    chi_square = np.sum((counts - expected)[:, seen] ** 2 / expected[:, seen])
    if chi_square <= seen.sum() - 1:
        return np.zeros(classes)
    log_share = np.log((counts + 1) / (counts.sum(axis=1, keepdims=True) + classes))
    return log_share[0] - log_share[1]


def _principal_components(inputs: FloatArray, rng: Generator) -> FloatArray:
    """Scores on the leading components, each with mean 0 and deviation 1; constants left out."""
    rows = inputs
    if len(inputs) > ROWS_FOR_COMPONENTS:
        rows = inputs[rng.choice(len(inputs), ROWS_FOR_COMPONENTS, replace=False)]
    rows = rows.astype(np.float64) - rows.mean(axis=0, dtype=np.float64)
    wide = rows.shape[1] > rows.shape[0]
    values, vectors = np.linalg.eigh(rows @ rows.T if wide else rows.T @ rows)
    kept = np.flatnonzero(values > 1e-10 * max(values[-1], 1e-300))[::-1][:COMPONENTS]
    axes = rows.T @ vectors[:, kept] / np.sqrt(values[kept]) if wide else vectors[:, kept]
    return _standardised((inputs @ axes.astype(inputs.dtype)).astype(np.float64))


def _less_class_means(columns: FloatArray, labels: IntArray) -> FloatArray:
    _, position, counts = np.unique(labels, return_inverse=True, return_counts=True)
    order = np.argsort(position, kind="stable")
    starts = np.cumsum(counts) - counts
    sums = np.add.reduceat(columns[order], starts, axis=0)
    return columns - (sums / counts[:, None])[position.ravel()]


def _standardised(columns: FloatArray) -> FloatArray:
    spread = columns.std(axis=0)
    return (columns - columns.mean(axis=0)) / np.where(spread > 0, spread, 1.0)


def _ridge(features: FloatArray, is_member: BoolArray) -> FloatArray:
    """Coefficients of membership on the features; the penalty is one row's worth a feature."""
    centred = features - features.mean(axis=0)
    p = features.shape[1]
    return np.linalg.solve(centred.T @ centred + p * np.eye(p), centred.T @ is_member)
