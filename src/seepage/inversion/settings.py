"""What the options of methods and regularizers may be, as their signatures say it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial, wraps
from operator import ge, gt, le
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    ParamSpec,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from seepage.records import UserError

P = ParamSpec("P")
R = TypeVar("R")

LARGEST = 1e30
"""Numbers beyond it are infinite here: what is computed with them is so in single precision."""

COMPARED = {">": gt, ">=": ge, "<=": le}


class Bound(NamedTuple):
    """What a number is held against."""

    sign: Literal[">", ">=", "<="]
    value: float


Count = Annotated[int, Bound(">=", 1)]
Whole = Annotated[int, Bound(">=", 0)]
Positive = Annotated[float, Bound(">", 0)]
NonNegative = Annotated[float, Bound(">=", 0)]
LogVariance = Annotated[float, Bound(">=", -100), Bound("<=", 100)]
"""Deviations of it are numbers in single precision."""
Scale = Annotated[float, Bound(">=", 1e-15), Bound("<=", 1e15)]
"""A length: in single precision its square is a number, and one can be divided by it."""


def fitting(
    function: Callable[..., Any], given: Mapping[str, Any], where: str = ""
) -> dict[str, Any]:
    """``given``, once it is what ``function`` takes; whole numbers as floats where it takes those.

    Kinds are ``int`` and ``float``, also with a :class:`Bound`, ``Literal``, and one of these or
    None. No number is NaN or infinite, ``True`` is none, and a whole one is not written 2.0.

    Args:
        function: Its annotations say what it takes; a ``partial`` is asked for what it is of.
        given: Keyword arguments of it, by name.
        where: Put before a name in the message.

    Raises:
        UserError: A value is of another kind, or out of range.
    """
    kinds = get_type_hints(_whole(function), include_extras=True)
    for name, value in given.items():
        if not _fits(value, kinds[name]):
            raise UserError(f"{where}{name} must be {_words(kinds[name])}, got {value!r}.")
    return {name: _as(value, kinds[name]) for name, value in given.items()}


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """``function``, whose keyword-only arguments have to be :func:`fitting`."""

    @wraps(function)
    def asked(*args: P.args, **kwargs: P.kwargs) -> R:
        own = function.__kwdefaults__ or {}
        settings = fitting(function, {name: kwargs[name] for name in kwargs if name in own})
        return function(*args, **(kwargs | settings))  # pyright: ignore[reportCallIssue]

    return asked


def _whole(function: Callable[..., Any]) -> Callable[..., Any]:
    return function.func if isinstance(function, partial) else function


def _parts(kind: Any) -> tuple[Any, ...]:
    """The members of a union, or the kind alone."""
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _fits(value: object, kind: Any) -> bool:
    return any(_is(value, part) for part in _parts(kind))


def _is(value: object, kind: Any) -> bool:
    """Whether a value is of a kind that is no union."""
    if get_origin(kind) is Literal:
        return isinstance(value, str) and value in get_args(kind)
    if kind is NoneType:
        return value is None
    base, bounds = _bounded(kind)
    if isinstance(value, bool) or not isinstance(value, int | float if base is float else int):
        return False
    finite = abs(value) <= LARGEST  # NaN is not
    return finite and all(COMPARED[bound.sign](value, bound.value) for bound in bounds)


def _bounded(kind: Any) -> tuple[type[int] | type[float], tuple[Bound, ...]]:
    return (kind.__origin__, kind.__metadata__) if get_origin(kind) is Annotated else (kind, ())


def _words(kind: Any) -> str:
    return " or ".join(_called(part) for part in _parts(kind))


def _called(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return f"one of {', '.join(get_args(kind))}"
    if kind is NoneType:
        return "none"
    base, bounds = _bounded(kind)
    noun = "a finite number" if base is float else "a whole number"
    limits = " and ".join(f"{sign} {value:g}" for sign, value in bounds)
    return f"{noun} {limits}".rstrip()


def _as(value: Any, kind: Any) -> Any:
    floats = any(_bounded(part)[0] is float for part in _parts(kind))
    return float(value) if floats and isinstance(value, int) else value
