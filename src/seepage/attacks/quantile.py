"""Quantile regression (Bertran et al., 2023): what scaled logit is usual for a non-member like it.

The variant with a mean and a deviation, each by a regression, in place of one quantile: the score
then serves every false positive rate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from seepage.attacks.answers import (
    evenly,
    labels,
    need,
    of_model,
    of_records,
    over_queries,
    public_only,
    references,
    score_of,
)
from seepage.records import FloatArray, IntArray

FEWEST_PUBLIC = 200
"""Public records from which on the target's own answers to them teach enough."""

ROWS = 2_000
"""Most answers to learn from: a regression on 3,072 pixels then takes about a second."""

MODELS = 4
"""Most reference models whose answers are learned from."""

LENT = 5.0
"""Records' worth of the common mean that the mean of a class is smoothed with."""

FLOOR = 1e-6
"""Least distance whose logarithm is taken; logits differ by about one."""

MEAN_LOG_NORMAL = -(np.euler_gamma + np.log(2)) / 2
"""Mean of ln|e| for a standard normal e, -0.635."""

BLOCK = 4_096
NEEDS = ("scaled_logit", "input", "label")


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """Answers of models to records they were not trained on, and what is known of the records.

    Attributes:
        answers: Scaled logits, shape ``(rows,)``.
        columns: What they are foretold from beside the label, shape ``(rows, p)``, p >= 0.
        label: Class numbers, shape ``(rows,)``.
        asked: The same columns for the records asked about, shape ``(n, p)``.
    """

    answers: FloatArray
    columns: FloatArray
    label: IntArray
    asked: FloatArray


def quantile(signals: xr.Dataset, target: int) -> xr.DataArray:
    r"""How many deviations the scaled logit lies above that of a non-member like the record.

    .. math:: s_j = \frac{\phi_j - \hat\mu(x_j, y_j)}{\hat\sigma(x_j, y_j)}

    :math:`\hat\mu` is the mean of the class plus a ridge regression of what is left;
    :math:`\ln \hat\sigma` is the same regression of :math:`\ln|\phi - \hat\mu_{-}|`, where
    :math:`\hat\mu_{-}` foretells each answer without having seen it. The penalty is one row's
    worth a column. With several queries :math:`\phi` is the mean over them. Learned from

    1. the target's answers about public records, if there are at least 200 and ``input`` is
       there: the columns are the inputs, and no reference model is used;
    2. else the answers of the four reference models of lowest number about records they are OUT
       of, with the inputs as columns;
    3. without ``input``, the same with one column: the mean scaled logit of the other models that
       are OUT (none where a record is OUT of one model only).

    No answer that teaches is a member's, and none is the target's about a record asked about. At
    most 2,000 answers are learned from, evenly spaced over the records by id.

    Args:
        signals: ``scaled_logit`` over ``model, sample`` and maybe ``query``; ``label``;
            ``member``; ``input`` and ``public`` are used where they are there.
        target: Model asked about.

    Returns:
        Score over ``sample``, higher for members, in deviations.

    Raises:
        UserError: A signal or the target is missing, a signal has gaps, or in cases 2 and 3 a
            record is OUT of no reference model.

    References:
        | Scalable Membership Inference Attacks via Quantile Regression (Bertran et al., 2023)
        | https://arxiv.org/abs/2307.03694

    Differs from the paper: ridge regressions stand for its networks and boosted trees; cases 2
    and 3 are for studies without public records.
    """
    own = over_queries(of_model(signals, "scaled_logit", target))
    label = labels(signals)
    lesson = _from_public(signals, target) or _from_references(signals, target, label)
    smoother = _Smoother.of(lesson.columns)
    center, missed = _foretold(lesson, smoother, lesson.answers, label)
    size = np.log(np.maximum(np.abs(missed), FLOOR)) - MEAN_LOG_NORMAL
    spread, _ = _foretold(lesson, smoother, size, label)
    return score_of((own.to_numpy() - center) / np.maximum(np.exp(spread), FLOOR), own)


def _from_public(signals: xr.Dataset, target: int) -> Lesson | None:
    public = public_only(signals, NEEDS)
    if public is None or public.sizes["sample"] < FEWEST_PUBLIC or "input" not in public:
        return None
    rows = evenly(public["sample"].to_numpy(), ROWS)
    public = public.isel(sample=rows)
    return Lesson(
        answers=over_queries(of_model(public, "scaled_logit", target)).to_numpy(),
        columns=of_records(public, "input").to_numpy(),
        label=labels(public),
        asked=of_records(signals, "input").to_numpy(),
    )


def _from_references(signals: xr.Dataset, target: int, label: IntArray) -> Lesson:
    values, member = references(signals, "scaled_logit", target)
    need(member, inside=0, outside=1)
    known, out = over_queries(values).to_numpy().astype(np.float64), ~member.to_numpy()
    total, count = np.where(out, known, 0).sum(axis=0), out.sum(axis=0)
    ids, models = member["sample"].to_numpy(), min(len(known), MODELS)
    taken = [np.flatnonzero(out[i])[evenly(ids[out[i]], ROWS // models)] for i in range(models)]
    rows = np.concatenate(taken)
    answers = np.concatenate([known[i, at] for i, at in enumerate(taken)])
    if "input" in signals:
        asked = of_records(signals, "input").to_numpy()
        columns = asked[rows]
    elif count.min() < 2:
        asked, columns = np.empty((len(label), 0)), np.empty((len(rows), 0))
    else:
        asked = (total / count)[:, None]
        columns = ((total[rows] - answers) / (count[rows] - 1))[:, None]
    return Lesson(answers=answers, columns=columns, label=label[rows], asked=asked)


def _foretold(
    lesson: Lesson, smoother: _Smoother, wanted: FloatArray, label: IntArray
) -> tuple[FloatArray, FloatArray]:
    """What ``wanted`` is for the records asked about, whose labels are ``label``, and by how much
    it is missed for those that teach, each foretold from all others.
    """
    classes = int(max(label.max(), lesson.label.max())) + 1
    total = np.bincount(lesson.label, wanted, classes) + LENT * wanted.mean()
    weight = np.bincount(lesson.label, minlength=classes) + LENT
    rest = wanted - (total[lesson.label] - wanted) / (weight[lesson.label] - 1)
    slope, level, missed = smoother.fit(rest)
    asked = lesson.asked
    line = [asked[at : at + BLOCK].astype(np.float64) @ slope for at in range(0, len(asked), BLOCK)]
    return (total / weight)[label] + level + np.concatenate(line), missed


@dataclass(frozen=True)
class _Smoother:
    """A ridge regression on fixed columns: all of it that does not depend on what is foretold."""

    center: FloatArray
    spread: FloatArray
    rows: FloatArray
    smoother: FloatArray

    @classmethod
    def of(cls, columns: FloatArray) -> _Smoother:
        n, p = columns.shape
        center = columns.mean(axis=0, dtype=np.float64)
        spread = columns.std(axis=0, dtype=np.float64)
        spread = np.where(spread > 0, spread, 1.0)
        rows = (columns - center) / spread
        if p <= n:
            return cls(center, spread, rows, np.linalg.solve(rows.T @ rows + p * np.eye(p), rows.T))
        return cls(center, spread, rows, rows.T @ np.linalg.inv(rows @ rows.T + p * np.eye(n)))

    def fit(self, wanted: FloatArray) -> tuple[FloatArray, float, FloatArray]:
        """Slope and level on the columns as they came, and each row's error without itself."""
        centered = wanted - wanted.mean()
        slope = self.smoother @ centered
        leverage = np.einsum("np,pn->n", self.rows, self.smoother) + 1 / len(wanted)
        missed = (centered - self.rows @ slope) / np.maximum(1 - leverage, 1e-3)
        slope = slope / self.spread
        return slope, float(wanted.mean() - self.center @ slope), missed
