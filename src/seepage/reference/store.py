"""Finished models and their answers on disk, each file named by all it depends on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file

from seepage._files import write_atomically
from seepage.protocols import Fitted
from seepage.reference.bench import Measuring

if TYPE_CHECKING:
    import torch

KEPT = "kept/"


class ModelStore:
    """A folder of models ``<key>.safetensors`` and answers ``<key>-<asked>.safetensors``.

    A file appears whole, by rename, so what is there is finished: whoever was killed goes on from
    it, and many processes or machines may fill one folder. Nothing is ever replaced.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def model(self, key: str) -> Path:
        """Where the model called ``key`` stands or will stand."""
        return self.folder / f"{key}.safetensors"

    def answers(self, key: str, asked: Measuring) -> Path:
        """Where its answers to these questions stand or will stand."""
        return self.folder / f"{key}-{questions_key(asked)}.safetensors"

    def put(self, key: str, fitted: Fitted) -> None:
        """Write a finished model."""
        tensors = {name: plain(value) for name, value in fitted.state.items()}
        tensors |= {KEPT + name: plain(value) for name, value in fitted.kept.items()}
        write_atomically(self.model(key), lambda path: save_file(tensors, path))

    def get(self, key: str) -> Fitted | None:
        """The model called ``key``, or None where it is not finished (or not whole)."""
        path = self.model(key)
        if not path.exists():
            return None
        try:
            tensors = load_file(path)
        except (SafetensorError, OSError):
            path.unlink(missing_ok=True)  # cut off by a full disk: train it again
            return None
        return Fitted(
            state={n: t for n, t in tensors.items() if not n.startswith(KEPT)},
            kept={n.removeprefix(KEPT): t for n, t in tensors.items() if n.startswith(KEPT)},
        )

    def put_answers(self, key: str, asked: Measuring, found: Mapping[str, np.ndarray]) -> None:
        """Write what a model answered."""
        arrays = {name: np.ascontiguousarray(values) for name, values in found.items()}
        write_atomically(self.answers(key, asked), lambda path: save_arrays(arrays, path))

    def has_answers(self, key: str, asked: Measuring) -> bool:
        """Whether its answers to these questions are there and whole; torn ones are removed."""
        path = self.answers(key, asked)
        if not path.exists():
            return False
        try:
            with safe_open(path, framework="np") as file:
                return set(asked.names) <= set(file.keys())
        except (SafetensorError, OSError):
            path.unlink(missing_ok=True)
            return False

    def read_answers(self, key: str, asked: Measuring, name: str) -> np.ndarray:
        """One signal of one model."""
        with safe_open(self.answers(key, asked), framework="np") as file:
            return file.get_tensor(name)


def questions_key(asked: Measuring) -> str:
    """Eight digits that change with anything that is asked."""
    said = repr((asked.names, asked.queries, asked.logits, asked.respond)).encode()
    return hashlib.sha256(said + asked.ids.tobytes()).hexdigest()[:8]


def plain(value: torch.Tensor) -> torch.Tensor:
    """A tensor as it can be saved."""
    return value.detach().cpu().contiguous()
