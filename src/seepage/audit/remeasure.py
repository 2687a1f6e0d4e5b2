"""Signals from a stored trace, as any adversary would measure them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seepage.audit.choice import choose, is_harmless
from seepage.audit.inside import OF_UPDATES, isolates
from seepage.audit.loading import ModelFactory
from seepage.audit.prepare import Prepared, prepare_federation
from seepage.observe import ADVERSARIES, Trace, View
from seepage.observe.tensors import join_rounds
from seepage.records import AdversaryName, Dataset, UserError
from seepage.signals.adaptive import ADAPTIVE
from seepage.signals.answers import Responder
from seepage.signals.measure import MEASURED, OF_THE_SUM, measure
from seepage.signals.output import OUTPUT
from seepage.study import Study, build_study
from seepage.training import cpu_threads, forward_threads

if TYPE_CHECKING:
    import xarray as xr


def measure_trace(
    folder: str | Path,
    *,
    signals: Sequence[str] | None = None,
    adversary: AdversaryName = "server",
    data: Dataset | tuple[Any, Any] | None = None,
    model: ModelFactory | None = None,
    data_root: Path | None = None,
) -> xr.Dataset:
    """Measure signals on a run whose trace kept parameters.

    Args:
        folder: A run folder written with ``observe.weights`` set to ``half`` or ``full``.
        signals: Names of signals; None measures all that the adversary can.
        adversary: Whose view to measure on. Where uploads are not seen, the signals have no
            ``client`` dim: they belong to the aggregate. A server under secure aggregation finds
            them under the names of the sum's own signals as well, ``aggregate_loss`` and
            ``aggregate_cosine``, which attacks on rounds read.
        data: The samples, for a run on samples of your own.
        model: The factory, for a run with a model of your own.
        data_root: Folder to look for data sets in.

    Returns:
        The signals over dims ``sample, round`` and, for a server, ``client``.

    Raises:
        UserError: The folder keeps no parameters, its data have changed, or the adversary
            cannot measure a signal.
    """
    choose(adversary, ADVERSARIES, what="adversary")
    trace = Trace(folder)
    study = build_study(trace.manifest["study"], source=str(folder))
    _refuse_foreign_code(study, data, model)
    prepared = prepare_federation(study, data=data, model=model, data_root=data_root)
    if prepared.dataset.checksum != trace.manifest["data_checksum"]:
        raise UserError(
            f"{folder}: the data {prepared.dataset.name} found now is not what the run was trained "
            "on (its checksum differs). Point --data at the original."
        )
    names = measurable(prepared, adversary, signals)
    if isolates(study) and (wrong := sorted(set(names) & OF_UPDATES)):
        raise UserError(
            f"{folder}: its server gave single clients parameters of their own, which a trace does "
            f"not keep, so {wrong[0]} cannot be measured. Name signals of answers, such as loss."
        )
    last = prepared.study.federation.rounds
    if adversary == "querier" and trace.rounds[-1] != last:
        raise UserError(
            f"{folder}: a querier asks the final model, but the last round, {last}, was not "
            f"observed (observed: {trace.rounds[0]} to {trace.rounds[-1]}). Observe it."
        )
    views = trace.seen_by(adversary)
    return join_rounds({view.number: measure_view(prepared, view, names) for view in views})


def _refuse_foreign_code(study: Study, data: object, model: object) -> None:
    """A folder may come from anyone: what it names is loaded, but no code or address it names."""
    for what, name, given in (("data", study.data.name, data), ("model", study.model.name, model)):
        if given is None and not is_harmless(name):
            raise UserError(
                f"the run's {what} is {name!r}, code or an address of its maker's, which is not "
                "loaded because a folder says so. Give it yourself: "
                f"measure_trace(folder, {what}=...)."
            )


def measure_view(prepared: Prepared, view: View, names: Sequence[str]) -> xr.Dataset:
    """The signals of one view; without a ``client`` dim where no upload is seen."""
    knowledge = prepared.knowledge
    with cpu_threads(forward_threads(prepared.model)):
        measured = measure(
            prepared.model,
            start=view.start,
            uploads={-1 if who is None else who: model for who, model in view.models.items()},
            candidates=prepared.candidates,
            names=names,
            respond=_responder(prepared) if view.adversary == "querier" else None,
            aggregate=view.aggregate,
            knowledge=knowledge and replace(knowledge, round_number=view.number),
        )
    return measured.isel(client=0, drop=True) if None in view.models else measured


def _responder(prepared: Prepared) -> Responder | None:
    hook, dataset = prepared.defense.respond, prepared.dataset
    if hook is None:
        return None
    return Responder(hook=hook, mean=dataset.mean, std=dataset.std, seed=prepared.study.seed)


def measurable(
    prepared: Prepared, adversary: AdversaryName, signals: Sequence[str] | None = None
) -> list[str]:
    """The signals that an adversary can measure, or those asked for if it can.

    Raises:
        UserError: A name is unknown, or beyond this adversary.
    """
    able = list(OUTPUT if adversary == "querier" else MEASURED)
    if adversary == "participant":
        able = [name for name in able if name not in OF_THE_SUM]
    if signals is None:
        return [name for name in able if name not in ADAPTIVE or prepared.knowledge]
    names = [choose(name, MEASURED, what="signal") for name in signals]
    if beyond := sorted(set(names) - set(able)):
        sees = {
            "querier": "sees answers, not parameters",
            "participant": "sees the global model, not the mean of the uploads",
        }
        raise UserError(
            f"a {adversary} {sees[adversary]}, and cannot measure {', '.join(beyond)}. "
            f"It can measure {', '.join(able)}."
        )
    return names
