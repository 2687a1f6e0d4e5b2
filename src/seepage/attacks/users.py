r"""User-level membership by declared labels (Chen et al., 2020): whose record is it?

Before a federation starts every client declares the classes it holds. Where no class is held by
two clients, whose a record is and which class it is are one question. So any classifier answers it,
and its baselines are part of the attack: the global model, which every participant is given; a
model of the insider's own records; and the label that comes with the record.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from seepage.attacks.evidence import check_dims, check_target, named
from seepage.records import UserError


def user_level_gan(signals: xr.Dataset, target: int) -> xr.DataArray:
    r"""What a classifier of generated images gives the classes that the target declared.

    .. math:: s_j = \sum_{c \in C_\mathrm{tar}} p_G(c \mid x_j)

    where :math:`p_G` was trained on images alone that a generator was led to by the federation's
    global models.

    Args:
        signals: ``generated_answer``, probabilities over ``sample, class``, and ``declared`` over
            ``client, class``: above 0 where the client declared the class.
        target: Client asked about, the victim.

    Returns:
        Score over ``sample``, higher for members, in [0, 1].

    Raises:
        UserError: A signal or the target is missing, a probability is missing or infinite, or the
            target declared no class.

    References:
        | Beyond model-level membership privacy leakage: an adversarial approach in federated
        | learning (Chen et al., 2020)

    Differs from the paper: it marks a record IN where the predicted class is among the declared
    ones, which is :func:`says_declared`; the paper does not say what its ROC curves are over, and
    the sum is the probability of just that.
    """
    return _given_to_declared(signals, target, "generated_answer")


def declared_label_global(signals: xr.Dataset, target: int) -> xr.DataArray:
    r"""What the global model gives the classes that the target declared.

    .. math:: s_j = \sum_{c \in C_\mathrm{tar}} p(c \mid x_j; w^T)

    The baseline that needs no generator: the insider holds this model anyway.

    Args:
        signals: ``global_answer``, probabilities over ``sample, class``, and ``declared`` over
            ``client, class``. A class that only the model has, such as one for generated images,
            is declared by nobody.
        target: Client asked about, the victim.

    Returns:
        Score over ``sample``, higher for members, in [0, 1].

    Raises:
        UserError: As for :func:`user_level_gan`.

    References:
        | Seepage, 2026, after Chen et al., 2020
    """
    return _given_to_declared(signals, target, "global_answer")


def own_data_only(signals: xr.Dataset, target: int) -> xr.DataArray:
    r"""What a classifier of the insider's own records gives the classes that the target declared.

    .. math:: s_j = \sum_{c \in C_\mathrm{tar}} p_\mathrm{own}(c \mid x_j)

    The baseline that needs no federation: what the insider could have had without joining.

    Args:
        signals: ``own_answer``, probabilities over ``sample, class``, and ``declared`` over
            ``client, class``.
        target: Client asked about, the victim.

    Returns:
        Score over ``sample``, higher for members, in [0, 1].

    Raises:
        UserError: As for :func:`user_level_gan`.

    References:
        | Seepage, 2026, after Chen et al., 2020
    """
    return _given_to_declared(signals, target, "own_answer")


def declared_label(signals: xr.Dataset, target: int) -> xr.DataArray:
    r"""The probability that the record is the target's, if all who declared its label are alike.

    .. math:: s_j = \frac{[\,y_j \in C_\mathrm{tar}\,]}{\#\{k : y_j \in C_k\}}

    The baseline that needs no model: it reads the label that comes with the record.

    Args:
        signals: ``label``, the class of each ``sample``, and ``declared`` over ``client, class``.
            A class that is not in ``declared`` is declared by nobody.
        target: Client asked about, the victim.

    Returns:
        Score over ``sample``, higher for members, in [0, 1]; 0 where nobody declared the label.

    Raises:
        UserError: A signal or the target is missing, a label is missing, or the target declared no
            class.

    References:
        | Seepage, 2026, after Chen et al., 2020
    """
    label = _of_records(signals, "label", ("sample",))
    declared = classes_of(signals, target)
    holders = _declared(signals).sum("client")
    at = declared.get_index("class").get_indexer(label.to_numpy())
    share = declared.to_numpy() / np.maximum(holders.to_numpy(), 1)
    score = np.where(at >= 0, share[at], 0.0)
    return xr.DataArray(score, dims="sample", coords={"sample": label["sample"]})


def says_declared(signals: xr.Dataset, target: int, *, answer: str) -> xr.DataArray:
    """Whether the predicted class is among those that the target declared, as the paper decides.

    Args:
        signals: ``answer``, probabilities over ``sample, class``, and ``declared``.
        target: Client asked about.
        answer: Name of the probabilities to read.

    Returns:
        Bool, over ``sample``. Of classes of equal probability the first is predicted; none is
        where all are 0.

    Raises:
        UserError: As for :func:`user_level_gan`.
    """
    given = _of_records(signals, answer, ("sample", "class"))
    declared = classes_of(signals, target).to_numpy()
    values = given.to_numpy()
    marked = declared[values.argmax(axis=1)] & (values.max(axis=1) > 0)
    return xr.DataArray(marked, dims="sample", coords={"sample": given["sample"]})


def label_is_declared(signals: xr.Dataset, target: int) -> xr.DataArray:
    """Whether the target declared the record's label: bool, over ``sample``.

    Raises:
        UserError: As for :func:`declared_label`.
    """
    return declared_label(signals, target) > 0


def classes_of(signals: xr.Dataset, target: int) -> xr.DataArray:
    """Which classes the target declared: bool, over ``class``.

    Raises:
        UserError: ``declared`` or the target is missing, or the target declared no class.
    """
    declared = _declared(signals)
    check_target(signals, target)
    own = declared.sel(client=target, drop=True)
    if not own.any():
        raise UserError(
            f"client {target} declared no class, so no record can be told to be its own by the "
            "class. Choose another target, or set its row of the signal 'declared'."
        )
    return own


def _given_to_declared(signals: xr.Dataset, target: int, answer: str) -> xr.DataArray:
    given = _of_records(signals, answer, ("sample", "class"))
    declared = classes_of(signals, target).to_numpy()
    score = given.to_numpy()[:, declared].sum(axis=1)
    return xr.DataArray(score, dims="sample", coords={"sample": given["sample"]})


def _of_records(signals: xr.Dataset, name: str, dims: tuple[str, ...]) -> xr.DataArray:
    """One signal of the whole run with exactly ``dims``, float64 and finite, classes numbered."""
    measure = named(signals, name)
    check_dims(measure, name, dims[1:])
    _check_exactly(measure, name, dims)
    measure = measure.transpose(*dims).astype(np.float64)
    gaps = int((~np.isfinite(measure.to_numpy())).sum())
    if gaps:
        raise UserError(
            f"signal {name!r} has {gaps} missing (NaN) or infinite values. Measure it again, or "
            "drop those samples."
        )
    return _numbered(measure)


def _declared(signals: xr.Dataset) -> xr.DataArray:
    """Who declared what: bool, over ``client, class``."""
    measure = named(signals, "declared")
    _check_exactly(measure, "declared", ("client", "class"))
    return _numbered(measure.transpose("client", "class")) > 0


def _check_exactly(measure: xr.DataArray, name: str, dims: tuple[str, ...]) -> None:
    if set(measure.dims) != set(dims):
        raise UserError(
            f"signal {name!r} needs the dims {' and '.join(dims)}, it has "
            f"{dict(measure.sizes) or 'none'}."
        )


def _numbered(measure: xr.DataArray) -> xr.DataArray:
    """Classes numbered from 0 where they have no numbers, and no coordinate besides the dims'."""
    measure = measure.drop_vars([name for name in measure.coords if name not in measure.dims])
    if "class" in measure.dims and "class" not in measure.coords:
        measure = measure.assign_coords({"class": np.arange(measure.sizes["class"])})
    return measure
