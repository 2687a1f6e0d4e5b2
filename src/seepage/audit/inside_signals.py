"""What a study's insider measures: each round, and once training has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray as xr

from seepage.audit.inside import AT_THE_END, EACH_ROUND
from seepage.insiders import kept_images, learn
from seepage.observe import PARTICIPANT, SERVER, View, seen_by
from seepage.signals.answers import answers
from seepage.signals.inside import dealt_loss, inside
from seepage.training import cpu_threads, forward_threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seepage.audit.prepare import Prepared
    from seepage.insiders import Images
    from seepage.records import FloatArray, Round, State

BY_CLASS = ("sample", "class")


def measure_inside(prepared: Prepared, what: Round) -> xr.Dataset:
    """The insider's signals of one round, out of what it holds of that round."""
    wanted, clients = set(prepared.signals), prepared.study.data.clients
    view, found = participants_view(prepared, what), xr.Dataset()
    with cpu_threads(forward_threads(prepared.model)):
        if names := sorted(wanted & EACH_ROUND):
            found = inside(
                prepared.model,
                start=view.start or {},
                after=view.models[None],
                own=view.own,
                weights={client: view.weights[client] for client in view.own},
                candidates=prepared.candidates,
                names=names,
            )
        if "dealt_loss" in wanted:
            dealt = seen_by(SERVER, what).dealt
            measured = dealt_loss(prepared.model, dealt, range(clients), prepared.candidates)
            found["dealt_loss"] = measured
    if "attendance" in wanted:
        found["attendance"] = attendance(view, clients, prepared.study.insider.clients)
    return found


def participants_view(prepared: Prepared, what: Round) -> View:
    """What the study's insider holds of a round."""
    settings = prepared.study.insider
    return seen_by(PARTICIPANT, what, participants=settings.clients, attendance=settings.attendance)


def attendance(view: View, clients: int, own: Sequence[int]) -> xr.DataArray:
    """Weight of each client but the insider's in the round's mean, 0 for who took no part."""
    others = [client for client in range(clients) if client not in own]
    weights = [view.weights.get(client, 0.0) for client in others]
    return xr.DataArray(weights, dims="client", coords={"client": others})


def measure_at_the_end(prepared: Prepared, what: Round) -> xr.Dataset:
    """The insider's signals of the whole run: what was declared, learned and drawn.

    Raises:
        UserError: A training diverged.
    """
    wanted = set(prepared.signals) & AT_THE_END
    asked, found = prepared.candidates, {}
    if "label" in wanted:
        found["label"] = ("sample", asked.labels.cpu().numpy())
    if "declared" in wanted:
        told = prepared.declared.astype(np.int64)
        told[prepared.study.insider.clients] = 0  # its own records are none of the candidates
        found["declared"] = (("client", "class"), told)
    if "global_answer" in wanted:
        final = participants_view(prepared, what).models[None]
        found["global_answer"] = (BY_CLASS, probabilities(prepared, final))
    if "own_answer" in wanted:
        found["own_answer"] = (BY_CLASS, probabilities(prepared, learned_of_own(prepared)))
    if "generated_answer" in wanted:
        found["generated_answer"] = (BY_CLASS, _of_images(prepared, what.memory.get("insider", {})))
    signals = xr.Dataset(found)
    ids = {"sample": asked.ids, "client": np.arange(prepared.study.data.clients)}
    ids["class"] = np.arange(prepared.dataset.classes)
    return signals.assign_coords({dim: ids[dim] for dim in map(str, signals.dims)})


def _of_images(prepared: Prepared, kept: State) -> FloatArray:
    """What a classifier of the kept images says; 0 for every class where none was kept."""
    state = learned(prepared, kept)
    if state is None:
        return np.zeros((len(prepared.candidates.ids), prepared.dataset.classes))
    return probabilities(prepared, state)


def probabilities(prepared: Prepared, state: State, inputs: Any = None) -> FloatArray:
    """A model's probabilities of each class for the candidates, or for other inputs."""
    asked = prepared.candidates.inputs if inputs is None else inputs
    with cpu_threads(forward_threads(prepared.model)):
        logits = answers(prepared.model, state, asked, respond=None)
    return logits.double().softmax(1).cpu().numpy()


def learned_of_own(prepared: Prepared) -> State:
    """A classifier trained on the insider's own records, from the federation's first weights."""
    study, dataset = prepared.study, prepared.dataset
    rows = np.concatenate([prepared.split.clients[k] for k in study.insider.clients])
    return learn(
        prepared.model, dataset.inputs[rows], dataset.labels[rows], seed=study.seed, role="own"
    )


def learned(prepared: Prepared, kept: State) -> State | None:
    """A classifier trained on the images that the insider kept, and on nothing else."""
    images = kept_images(kept)
    if images is None:
        return None
    inputs = normalised(prepared, images)
    labels, seed = images.labels.to(inputs.device), prepared.study.seed
    return learn(prepared.model, inputs, labels, seed=seed, role="generated", drawn=True)


def normalised(prepared: Prepared, images: Images) -> torch.Tensor:
    """Kept images as inputs of the federation's model."""
    dataset = prepared.dataset
    return dataset.normalised(images.pixels).to(dataset.inputs.device)
