"""What an attack over models reads of a signals Dataset, checked once for all attacks.

A variable of answers has dims ``model, sample`` and, where each record was asked about several
times, ``query``. One model is the target; all others in the Dataset are reference models, whose
training sets the adversary knows (``member``). The target's row of ``member`` is never read.

Records marked ``public`` were in nobody's training set and everyone knows it. Nobody asks about
them, so every attack leaves them out of its score; some learn from them.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from seepage.attacks.evidence import check_dims, named
from seepage.records import FloatArray, IntArray, UserError

BoolArray = NDArray[np.bool_]

EXTRA = ("query", "class")
KEPT_COORDS = ("model", "sample")


def of_model(signals: xr.Dataset, name: str, target: int) -> xr.DataArray:
    """One signal of the target's answers about the records that are not public.

    Args:
        signals: Signals as measured, in their natural sense.
        name: Variable to read; dims ``model, sample`` and maybe ``query`` or ``class``.
        target: Model asked about.

    Returns:
        Dims ``sample[, query][, class]``, float64, finite.

    Raises:
        UserError: The variable, the target or the ``model`` dim is missing, a value of any model
            is missing or infinite, or every record is public.
    """
    return _answers(signals, name, target).sel(model=target, drop=True).astype(np.float64)


def references(signals: xr.Dataset, name: str, target: int) -> tuple[xr.DataArray, xr.DataArray]:
    """One signal of all other models' answers, and who was trained on what.

    Args:
        signals: Signals as measured, and ``member`` over ``model, sample``.
        name: Variable to read, as for :func:`of_model`.
        target: Model asked about; its row of ``member`` is not read.

    Returns:
        The values, dims ``model, sample[, query][, class]``, in their own precision, and
        ``member``, bool, dims ``model, sample``; both by ascending model number.

    Raises:
        UserError: As for :func:`of_model`; or ``member`` is missing or not true or false, or
            there is no model beside the target.
    """
    values = _answers(signals, name, target)
    others = np.sort(values.get_index("model").to_numpy())
    others = others[others != target]
    if not len(others):
        raise UserError(
            f"signal {name!r} has no model beside the target, and this attack compares with "
            "reference models. Add some, or use an attack on the target alone, such as loss."
        )
    return values.sel(model=others), _member(signals, others, values["sample"])


def of_records(signals: xr.Dataset, name: str) -> xr.DataArray:
    """What is known of the records that are not public, whichever model answers.

    Args:
        signals: A Dataset that holds the variable.
        name: Variable to read; dims ``sample`` and maybe ``feature``.

    Returns:
        Dims ``sample[, feature]``, in its own type, finite.

    Raises:
        UserError: The variable is missing, has other dims, or has gaps.
    """
    measure = _named_coords(named(signals, name))
    check_dims(measure, name, ("feature",))
    return _finite(_not_public(signals, measure).transpose("sample", ...), name)


def labels(signals: xr.Dataset) -> IntArray:
    """Class numbers of the records that are not public, shape ``(n,)``.

    Raises:
        UserError: ``label`` is missing, has gaps, or holds anything but class numbers.
    """
    values = of_records(signals, "label").to_numpy()
    if values.ndim != 1 or np.any(values != np.round(values)) or np.any(values < 0):
        raise UserError("signal 'label' needs one class number, 0 or more, for each sample.")
    return values.astype(np.int64)


def public_only(signals: xr.Dataset, names: Iterable[str]) -> xr.Dataset | None:
    """The public records alone, with the variables ``names``; None where none is public.

    The result has no variable ``public``: within it all records are read.
    """
    if "public" not in signals:
        return None
    public = _flags(_named_coords(named(signals, "public")), "public").to_numpy()
    if not public.any():
        return None
    return signals[[name for name in names if name in signals]].isel(sample=public)


def with_references(
    signals: xr.Dataset, names: Iterable[str], target: int, most: int
) -> xr.Dataset:
    """The variables ``names``, of the target and the ``most`` other models of lowest number.

    For variables that are large and attacks that read a few models: nothing else is copied.
    """
    few = signals[[name for name in (*names, "public") if name in signals]]
    if target not in few.indexes.get("model", ()):
        return few
    others = np.sort(few.get_index("model").to_numpy())
    return few.sel(model=[target, *others[others != target][:most]])


def over_queries(values: xr.DataArray) -> xr.DataArray:
    """The mean over the queries, float64; the values themselves where there was one query."""
    if "query" not in values.dims:
        return values
    return values.mean("query", skipna=False, dtype=np.float64)


def mean_where(values: FloatArray, kept: BoolArray) -> FloatArray:
    """Mean over the models for which ``kept`` holds, float64, shape ``(n,)``; none gives NaN."""
    count = kept.sum(axis=0).astype(np.float64)
    total = np.where(kept, values, 0).sum(axis=0, dtype=np.float64)
    return np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)


def need(member: xr.DataArray, *, inside: int, outside: int, instead: str = "") -> None:
    """Check that every record is in, and out of, enough reference models.

    Args:
        member: Who was trained on what, dims ``model, sample``.
        inside: Least number of reference models trained on a record.
        outside: Least number of reference models not trained on it.
        instead: Name of an attack that makes do with one of each that is needed.

    Raises:
        UserError: A record is in, or out of, fewer.
    """
    count, models = member.to_numpy().sum(axis=0), member.sizes["model"]
    short = np.flatnonzero((count < inside) | (models - count < outside))
    if not len(short):
        return
    record, there = member["sample"].to_numpy()[short[0]], int(count[short[0]])
    asked = [f"{inside} IN"] * (inside > 0) + [f"{outside} OUT"] * (outside > 0)
    one_each = (count >= min(inside, 1)) & (models - count >= min(outside, 1))
    other = f"Use {instead}, or train" if instead and one_each.all() else "Train"
    rest = "" if len(short) == len(count) else " Or leave those records out."
    which = "every record is" if len(short) == len(count) else f"{len(short)} records are"
    raise UserError(
        f"{which} in, or out of, too few reference models (record {record}: IN {there}, OUT of "
        f"{models - there}); this attack needs at least {' and '.join(asked)}. "
        f"{other} more models: in complementary pairs it takes {2 * max(inside, outside) + 2}, "
        f"the target and its complement counted.{rest}"
    )


def rehearsal(
    values: xr.DataArray, member: xr.DataArray
) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray, xr.DataArray]:
    """The first reference model in the target's place, where the answer is known.

    Its complement is left out as the target's is: a model that agrees with it on no record
    would tell who its members are.

    Args:
        values: Answers of the reference models.
        member: Who was trained on what.

    Returns:
        Its values and its members, then the values and members of the others (maybe none).
    """
    inside, rest = member.isel(model=0, drop=True), member.isel(model=slice(1, None))
    kept = (rest == inside).any("sample").to_numpy()
    others = values.isel(model=slice(1, None)).isel(model=kept)
    return values.isel(model=0, drop=True), inside, others, rest.isel(model=kept)


def evenly(ids: IntArray, most: int) -> IntArray:
    """Positions of at most ``most`` of the ids, evenly spaced among them, by ascending id."""
    order = np.argsort(ids)
    return order[np.linspace(0, len(order) - 1, min(most, len(order))).round().astype(np.int64)]


def score_of(values: ArrayLike, like: xr.DataArray) -> xr.DataArray:
    """``values`` as a score of the samples of ``like``."""
    data = np.asarray(values, dtype=np.float64)
    return xr.DataArray(data, dims="sample", coords={"sample": like["sample"].to_numpy()})


def _answers(signals: xr.Dataset, name: str, target: int) -> xr.DataArray:
    measure = _named_coords(named(signals, name))
    check_dims(measure, name, ("model", *EXTRA))
    if "model" not in measure.dims:
        raise UserError(
            f"signal {name!r} has no model dim; this attack needs the answers of the target and "
            "of others, one row a model."
        )
    _known(measure, target)
    measure = _not_public(signals, measure).transpose(
        "model", "sample", *EXTRA, missing_dims="ignore"
    )
    return _finite(measure, name)


def _known(measure: xr.DataArray, target: int) -> None:
    models = measure.get_index("model")
    if target not in models:
        some = ", ".join(map(str, models[:10])) + (", …" if len(models) > 10 else "")
        raise UserError(f"there is no model {target}; models there are: {some}.")


def _member(signals: xr.Dataset, models: IntArray, samples: xr.DataArray) -> xr.DataArray:
    member = _named_coords(named(signals, "member"))
    check_dims(member, "member", ("model",))
    if "model" not in member.dims:
        raise UserError("signal 'member' has no model dim: say of every model who was in it.")
    return _flags(member.sel(model=models, sample=samples).transpose("model", "sample"), "member")


def _not_public(signals: xr.Dataset, measure: xr.DataArray) -> xr.DataArray:
    if "public" not in signals:
        return measure
    public = _flags(_named_coords(named(signals, "public")), "public").to_numpy()
    if public.all():
        raise UserError("every record is public, so there is nobody to ask about. Add others.")
    return measure.isel(sample=~public) if public.any() else measure


def _flags(measure: xr.DataArray, name: str) -> xr.DataArray:
    check_dims(measure, name, ("model",))
    if measure.dtype == np.bool_:
        return measure
    odd = ~np.isin(measure.to_numpy(), (0, 1))
    if odd.any():
        raise UserError(
            f"signal {name!r} has {odd.sum()} missing (NaN) or other values that are neither "
            "true nor false. Say of every record which it is."
        )
    return measure.astype(np.bool_)


def _finite(measure: xr.DataArray, name: str) -> xr.DataArray:
    values = measure.to_numpy()
    if values.dtype.kind in "biuf":
        finite = np.isfinite(values)
        if finite.all():
            return measure
        place = dict(
            zip(measure.dims, np.unravel_index(np.argmin(finite), values.shape), strict=True)
        )
        where = ", ".join(f"{d} {measure.get_index(d)[i]}" for d, i in place.items())
        raise UserError(
            f"signal {name!r} has {values.size - int(finite.sum())} missing (NaN) or infinite "
            f"values, the first in {where}. Measure the signal again, or drop those records."
        )
    raise UserError(f"signal {name!r} needs numbers, got values of type {values.dtype}.")


def _named_coords(measure: xr.DataArray) -> xr.DataArray:
    return measure.drop_vars([c for c in measure.coords if c not in KEPT_COORDS])
