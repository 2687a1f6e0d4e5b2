"""What a run is: twelve digits that change with anything that could change a number."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from seepage.records import Dataset

if TYPE_CHECKING:
    import torch

    from seepage.protocols import Attack
    from seepage.study import Study


def fingerprint(
    study: Study,
    dataset: Dataset,
    device: str,
    model: torch.nn.Module,
    attacks: Mapping[str, Attack],
    factory: str,
) -> str:
    """Twelve hexadecimal digits that name a run.

    They change with the study, the data, the initial weights, the architecture (its printed form
    and the source of every class that is not torch's), the attacks' names and signals, the device
    and the versions.
    """
    facts = {
        "study": study.model_dump(exclude={"name"}),
        "data": [dataset.checksum, dataset.mean, dataset.std, dataset.classes],
        "model": [*model_facts(model), factory],
        "attacks": {name: attack.needs for name, attack in attacks.items()},
        "device": device,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def model_facts(model: torch.nn.Module) -> list[str]:
    """All that a training owes to its model: architecture, first weights, source, versions."""
    import torch

    from seepage import __version__

    initial = hashlib.sha256()
    for name, value in [*model.named_parameters(), *model.named_buffers()]:
        initial.update(name.encode())
        initial.update(value.detach().cpu().numpy().tobytes())
    return [repr(model), initial.hexdigest(), *_sources(model), __version__, torch.__version__]


def factory_facts(name: str, model: object) -> str:
    """The source of the function that makes the model, where it is the user's own."""
    from seepage.models import MODELS
    from seepage.models.build import imported

    factory = model if model is not None else None if name in MODELS else imported(name)
    try:
        return inspect.getsource(factory) if factory is not None else ""  # pyright: ignore
    except (OSError, TypeError):
        return repr(factory).split(" at 0x")[0]


def _sources(model: torch.nn.Module) -> list[str]:
    """The source of the model's own classes, where Python has kept it."""
    classes = {type(layer) for layer in model.modules()}
    own = [kind for kind in classes if not kind.__module__.startswith("torch.")]
    sources = []
    for kind in sorted(own, key=lambda kind: kind.__qualname__):
        try:
            sources.append(inspect.getsource(kind))
        except (OSError, TypeError):
            sources.append(kind.__qualname__)
    return sources
