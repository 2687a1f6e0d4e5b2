"""The pickles of the original CIFAR archives, read without running anything they say.

A pickle is a program that may call any function it names. Here every name but the few that an
array of numbers needs is refused, and those stand for records of our own that only collect what
they are given: neither NumPy's constructors nor any other code is called by the file.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from seepage.data.source import damaged
from seepage.records import UserError


class _Type:
    """Stands for ``numpy.dtype``: the type of a plain number, and its byte order."""

    def __init__(self, code: str | bytes, *_: object) -> None:
        self.type = np.dtype(code.decode() if isinstance(code, bytes) else str(code))
        if self.type.kind not in "biuf":
            raise pickle.UnpicklingError(f"an array of {self.type} is not an array of numbers")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order: Any = state[1].decode() if isinstance(state[1], bytes) else state[1]
        self.type = self.type.newbyteorder(order)


class _Array:
    """Stands for ``numpy.ndarray``: shape, type and bytes, as its pickled state gives them."""

    values: NDArray[Any]

    def __init__(self, *_: object) -> None:
        self.values = np.empty(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _version, shape, kind, fortran, content = state
        flat = np.frombuffer(content, kind.type)
        self.values = flat.reshape(shape, order="F" if fortran else "C")


def _frombuffer(content: bytes, kind: _Type, shape: tuple[int, ...], order: str) -> _Array:
    """Stands for the function that pickle protocol 5 builds arrays with."""
    array = _Array()
    array.__setstate__((1, shape, kind, order == "F", content))
    return array


def _latin1(text: str, encoding: str) -> bytes:
    """Stands for ``_codecs.encode``: how Python 3 writes bytes into old pickle protocols."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"text in {encoding} is not expected")
    return text.encode("latin1")


# NumPy 1 and 2 name the same functions differently.
ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _latin1,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.numeric", "_frombuffer"): _frombuffer,
    ("numpy._core.numeric", "_frombuffer"): _frombuffer,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ADMITTED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is refused")
        return ADMITTED[module, name]


def read_pickle(file: IO[bytes], where: Path | str) -> dict[str, Any]:
    """A pickled dictionary of arrays of numbers, strings, bytes, numbers and containers.

    Keys come back as text whether Python 2 or 3 wrote them; arrays as NumPy arrays.

    Raises:
        UserError: The pickle names anything else, is damaged, or is not a dictionary.
    """
    try:
        content = _Reader(file, encoding="bytes").load()
    except (
        pickle.UnpicklingError,
        EOFError,
        ValueError,
        TypeError,
        AttributeError,
        LookupError,
        MemoryError,
        OverflowError,
    ) as error:
        raise UserError(
            f"{where}: expected a pickle of arrays, strings and containers, got one that cannot be "
            f"read safely: {error}. Nothing in it was run; use the published archive."
        ) from None
    if not isinstance(content, dict):
        raise damaged(where, "a pickled dictionary", f"a {type(content).__name__}")
    return {
        key.decode() if isinstance(key, bytes) else str(key): (
            value.values if isinstance(value, _Array) else value
        )
        for key, value in content.items()
    }
