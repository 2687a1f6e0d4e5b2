"""The user's own data: a function ``package.module:function`` that gives tensors or arrays."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from seepage._user_code import failure
from seepage.data.source import Options, Raw, check_finite, check_labels, checksum
from seepage.records import Dataset, UserError

if TYPE_CHECKING:
    import torch


def load_function(name: str, options: Options) -> Dataset:
    """Call the function that ``name`` gives, with the options as keywords, and check its answer.

    It returns ``(inputs, labels)``, tensors or arrays, or a :class:`~seepage.records.Dataset`.
    Inputs are used as they are (floating point, shape ``(n, ...)``); labels are whole numbers
    from 0, shape ``(n,)``; the number of classes is the highest label plus one unless a Dataset
    says otherwise. The checksum is always taken here.

    Raises:
        UserError: The function is not there, fails, or its answer is not such data: saying what
            was wrong.
    """
    function = _function(name)
    try:
        given = function(**options)
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"{name} failed while it was called: {failure(error)}. Mend it there."
        ) from error
    if isinstance(given, Dataset) or (isinstance(given, tuple) and len(given) == 2):
        return from_memory(given, name=name)
    what = f"{len(given)} values" if isinstance(given, tuple) else type(given).__name__
    raise UserError(f"{name}: expected it to return (inputs, labels) or a Dataset, got {what}.")


def from_memory(given: Dataset | tuple[Any, Any], *, name: str | None = None) -> Dataset:
    """Samples that are in memory already, checked as :func:`load_function` says.

    Args:
        given: ``(inputs, labels)``, tensors or arrays, or a :class:`~seepage.records.Dataset`.
        name: What to call them in errors and reports; None takes a Dataset's own name, or "data".

    Raises:
        UserError: They are no such data: saying what is wrong.
    """
    if not isinstance(given, Dataset) and not (isinstance(given, tuple | list) and len(given) == 2):
        raise UserError(f"data is (inputs, labels) or a Dataset, got {type(given).__name__}.")
    if name is None:
        name = given.name if isinstance(given, Dataset) else "data"
    if isinstance(given, Dataset):
        inputs, labels = _arrays(given.inputs, given.labels, name)
        _check_dataset(given, name)
        return replace(given, **_tensors(name, inputs, labels, given.n_train))
    inputs, labels = _arrays(*given, name)
    return Dataset(
        classes=int(labels.max()) + 1,
        n_train=None,
        mean=(0.0,),
        std=(1.0,),
        **_tensors(name, inputs, labels, None),
    )


def _function(name: str) -> Any:
    module_name, attribute = name.split(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise UserError(
            f"{name}: no module {error.name!r} can be imported from here. Install it, or put its "
            f"folder on PYTHONPATH."
        ) from None
    except Exception as error:
        raise UserError(
            f"{name}: {module_name} failed while it was imported: {failure(error)}. Mend it there."
        ) from error
    function = getattr(module, attribute, None)
    if not callable(function):
        raise UserError(f"{name}: {module_name} has no function {attribute!r}. Check the name.")
    return function


def _arrays(inputs: Any, labels: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    inputs, labels = _array(inputs), _array(labels)
    if inputs.ndim and len(inputs) == 0:
        raise UserError(f"{name}: there are no records. Expected at least one input and its label.")
    if inputs.ndim < 2:
        raise UserError(f"{name}: expected inputs of shape (n, ...), got shape {inputs.shape}.")
    if not np.issubdtype(inputs.dtype, np.floating):
        raise UserError(
            f"{name}: expected floating point inputs, which are used as they are, got "
            f"{inputs.dtype}. Convert them, and scale images, in the function."
        )
    if not np.issubdtype(labels.dtype, np.integer):
        raise UserError(f"{name}: expected whole-number labels, got {labels.dtype}. Convert them.")
    if labels.shape != (len(inputs),):
        raise UserError(
            f"{name}: expected labels of shape ({len(inputs)},), one an input, got {labels.shape}."
        )
    check_labels(labels, int(labels.max()) + 1 if labels.max() >= 0 else 1, name)
    check_finite(inputs, name)
    return inputs.astype(np.float32), labels.astype(np.int64)


def _array(given: Any) -> np.ndarray:
    """A tensor (on any device) or anything array-like, as an array."""
    return np.asarray(given.detach().cpu() if hasattr(given, "detach") else given)


def _check_dataset(given: Dataset, name: str) -> None:
    check_labels(_array(given.labels), given.classes, name)
    if given.n_train is not None and not 0 < given.n_train < len(given):
        raise UserError(
            f"{name}: expected n_train between 1 and {len(given) - 1} or None, got {given.n_train}."
        )


def _tensors(
    name: str, inputs: np.ndarray, labels: np.ndarray, n_train: int | None
) -> dict[str, Any]:
    import torch

    content: dict[str, str | torch.Tensor] = {
        "name": name,
        "inputs": torch.from_numpy(inputs),
        "labels": torch.from_numpy(labels),
        "checksum": checksum(Raw(inputs=inputs, labels=labels, n_train=n_train)),
    }
    return content
