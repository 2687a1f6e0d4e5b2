"""From a name to a module with weights drawn from one seed."""

from __future__ import annotations

import importlib
import inspect
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from seepage._rng import child_seed
from seepage._user_code import failure
from seepage.records import UserError, suggestion

if TYPE_CHECKING:
    from seepage.protocols import ModelHook

Factory = Callable[..., nn.Module]

UNNAMED = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def found(name: str, table: Mapping[str, Factory]) -> Callable[..., object]:
    """The factory behind a name in ``table`` or behind ``package.module:factory``."""
    if ":" in name:
        return imported(name)
    if name not in table:
        raise UserError(
            f"no model {name!r}; {suggestion(name, table)} "
            "Your own is named 'package.module:factory'."
        )
    return table[name]


def named(factory: Callable[..., object]) -> str:
    """``package.module:factory`` of a factory, as far as it has a name."""
    name = getattr(factory, "__qualname__", type(factory).__qualname__)
    return f"{getattr(factory, '__module__', '')}:{name}"


def imported(path: str) -> Callable[..., object]:
    """The callable that ``package.module:factory`` names.

    Raises:
        UserError: The module cannot be imported, or has no such callable.
    """
    module_name, _, attribute = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except (ImportError, ValueError) as error:
        raise UserError(
            f"model {path!r}: cannot import the module {module_name!r} ({error}); expected "
            f"'package.module:factory' with a module that Python can import from here"
        ) from error
    except Exception as error:
        raise UserError(
            f"model {path!r}: the module {module_name!r} failed while it was imported: "
            f"{failure(error)}. Mend it there."
        ) from error
    factory = getattr(module, attribute, None)
    if not callable(factory):
        raise UserError(
            f"model {path!r}: module {module_name!r} has no callable {attribute!r}; expected "
            f"'package.module:factory'"
        )
    return factory


def made(
    name: str,
    factory: Callable[..., object],
    shape: tuple[int, ...],
    classes: int,
    options: dict[str, Any],
) -> nn.Module:
    """What the factory returns, called with what it takes.

    One that names no parameter, such as a class with no ``__init__`` of its own, is called with
    nothing where there are no options.

    Raises:
        UserError: It takes neither ``(input_shape, classes, **options)`` nor nothing, does not
            know an option, fails, or returns something that is not an ``nn.Module``.
    """
    signature = inspect.signature(factory)
    if not options and all(p.kind in UNNAMED for p in signature.parameters.values()):
        call = factory
    else:
        _check_call(name, signature, shape, classes, options)
        call = partial(factory, shape, classes, **options)
    model = call() if named(factory).startswith("seepage.") else _called(name, call)
    if not isinstance(model, nn.Module):
        raise UserError(
            f"model {name!r}: the factory must return a torch.nn.Module, got {type(model).__name__}"
        )
    return model


def _called(name: str, call: Callable[..., object]) -> object:
    """What the user's factory returns; an error in it is theirs to mend."""
    try:
        return call()
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"model {name!r} failed while it was made: {failure(error)}. Mend it there."
        ) from error


def _check_call(
    name: str,
    signature: inspect.Signature,
    shape: tuple[int, ...],
    classes: int,
    options: dict[str, Any],
) -> None:
    kinds = signature.parameters.values()
    takes_any = any(p.kind is p.VAR_KEYWORD for p in kinds)
    known = [
        key for key, p in list(signature.parameters.items())[2:] if p.kind is not p.VAR_KEYWORD
    ]
    if unknown := [key for key in options if key not in known and not takes_any]:
        raise UserError(
            f"model {name!r} has no option {unknown[0]!r}; "
            + (f"known here: {', '.join(known)}" if known else "it has no options")
        )
    try:
        signature.bind(shape, classes, **options)
    except TypeError as error:
        raise UserError(
            f"model {name!r}: the factory must take (input_shape, classes, **options) or nothing, "
            f"but {error}"
        ) from error


def defended(make: Callable[..., nn.Module], hook: ModelHook | None, *, seed: int) -> nn.Module:
    """What ``make(seed=seed)`` makes, as a defense's hook on architectures has it.

    Args:
        make: Such as a ``partial`` of :func:`seepage.models.build`.
        hook: The defense's ``model``; None leaves the model as it is.
        seed: Decides the weights of both: those that the hook adds are drawn by a child of it.
    """
    model = make(seed=seed)
    if hook is None:
        return model
    with own_randomness(child_seed(seed, "defense")):
        return hook(model)


@contextmanager
def own_randomness(seed: int) -> Iterator[None]:
    """Inside, every global generator starts from ``seed``; after, they are as they were."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 (factories may use it)
    with torch.random.fork_rng():
        try:
            torch.manual_seed(seed)
            random.seed(seed)
            np.random.seed(seed % 2**32)  # noqa: NPY002
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002
