"""Who watches, and what they hold of a round. A view has nothing else in it, by type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seepage.records import AdversaryName, Round, UserError

if TYPE_CHECKING:
    from seepage.records import State


@dataclass(frozen=True, kw_only=True)
class Adversary:
    """A named set of capabilities. All are honest but curious: they change nothing.

    Attributes:
        name: The name used in studies, tables and results.
        summary: Who that is.
        uploads: Sees what each client sends.
        globals: Sees the global parameters before and after a round.
        own_upload: Is a client, and knows what it sent itself.
        last_round_only: Sees nothing before training has ended.
    """

    name: AdversaryName
    summary: str
    uploads: bool = False
    globals: bool = False
    own_upload: bool = False
    last_round_only: bool = False


SERVER = Adversary(
    name="server",
    summary="the server: every client's upload and every global model",
    uploads=True,
    globals=True,
)
AGGREGATE = Adversary(
    name="aggregate",
    summary="a server under secure aggregation: the sum of a round's uploads, never one of them",
    globals=True,
)
PARTICIPANT = Adversary(
    name="participant",
    summary="a client: every global model, and its own upload",
    globals=True,
    own_upload=True,
)
QUERIER = Adversary(
    name="querier",
    summary="anyone who may query the final model: its answers and nothing of its training",
    last_round_only=True,
)

ADVERSARIES: dict[str, Adversary] = {
    "aggregate": AGGREGATE,
    "participant": PARTICIPANT,
    "querier": QUERIER,
    "server": SERVER,
}


@dataclass(frozen=True, kw_only=True)
class View:
    """What one adversary holds of one round.

    Attributes:
        adversary: Whose view it is.
        number: Round number, counting from 1.
        start: The global parameters the round began with; None for a querier.
        models: The models whose behavior on a record can be measured: one for each client where
            uploads are seen, and the single model ``None`` (the aggregate, or the model behind
            the answers) where they are not.
        own: A participant's own upload; None for everyone else.
        aggregate: The weighted mean of the uploads, before the server changes it; None for those
            who only see what came of it.
    """

    adversary: AdversaryName
    number: int
    start: State | None
    models: Mapping[int | None, State]
    own: State | None = None
    aggregate: State | None = None


def seen_by(adversary: Adversary, what: Round, *, participant: int | None = None) -> View:
    """The part of a round that ``adversary`` holds.

    Args:
        adversary: Whose capabilities decide.
        what: The round as it was.
        participant: Which client the adversary is, for an adversary that is one.

    Guarantees:
        * a server sees what was really sent, never an upload before the client's defense;
        * nobody but the server sees another client's upload;
        * a server under secure aggregation sees the sum before it changes it itself;
        * a querier sees no parameters but those whose answers it gets.

    Raises:
        UserError: A participant is asked for that took no part in the round.
    """
    own = None
    if adversary.own_upload and participant is not None:
        if participant not in what.uploads:
            raise UserError(f"client {participant} took no part in round {what.number}")
        own = what.uploads[participant]
    models: dict[int | None, State] = {None: what.after}
    if adversary.uploads:
        models = {**what.uploads}
    elif adversary.name == "aggregate":
        models = {None: what.aggregate}
    return View(
        adversary=adversary.name,
        number=what.number,
        start=what.start if adversary.globals else None,
        models=models,
        own=own,
        aggregate=what.aggregate if adversary.uploads or adversary.name == "aggregate" else None,
    )
