"""Who watches, and what they hold of a round. A view has nothing else in it, by type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from seepage.records import AdversaryName, Round

if TYPE_CHECKING:
    from seepage.records import State


@dataclass(frozen=True, kw_only=True)
class Adversary:
    """A named set of capabilities. They say what is seen; who acts as well sees no more.

    Attributes:
        name: The name used in studies, tables and results.
        summary: Who that is.
        uploads: Sees what each client sends.
        globals: Sees the global parameters before and after a round.
        own_upload: Is a client, or several, and knows what it sent itself.
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
    summary="a client, or several that collude: every global model, and their own uploads",
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
        own: A participant's own uploads, by client id; empty for everyone else, and where none of
            its clients took part.
        weights: What uploads weigh in the round's mean, by client id: all for a server, for a
            participant those of ``own``, or of all who took part where that is known; empty for
            everyone else.
        dealt: What single clients were given in place of ``start``, by the server; empty for
            everyone else.
        aggregate: The weighted mean of the uploads, before the server changes it; None for those
            who only see what came of it.
    """

    adversary: AdversaryName
    number: int
    start: State | None
    models: Mapping[int | None, State]
    own: Mapping[int, State] = field(default_factory=dict)
    weights: Mapping[int, float] = field(default_factory=dict)
    dealt: Mapping[int, State] = field(default_factory=dict)
    aggregate: State | None = None


def seen_by(
    adversary: Adversary,
    what: Round,
    *,
    participants: Sequence[int] = (),
    attendance: bool = False,
) -> View:
    """The part of a round that ``adversary`` holds.

    Args:
        adversary: Whose capabilities decide.
        what: The round as it was.
        participants: Which clients the adversary is, for an adversary that is some. Those that
            took no part in the round add nothing; whether there are such clients at all cannot be
            known here.
        attendance: Whether such an adversary knows who took part, and with which weight.

    Guarantees:
        * a server sees what was really sent, never an upload before the client's defense;
        * nobody but the server sees another client's upload, or what another was dealt;
        * a server under secure aggregation sees the sum before it changes it itself;
        * a querier sees no parameters but those whose answers it gets.
    """
    models: dict[int | None, State] = {None: what.after}
    if adversary.uploads:
        models = {**what.uploads}
    elif adversary.name == "aggregate":
        models = {None: what.aggregate}
    mine = set(participants) if adversary.own_upload else set()
    everyone = adversary.uploads or (adversary.own_upload and attendance)
    return View(
        adversary=adversary.name,
        number=what.number,
        start=what.start if adversary.globals else None,
        models=models,
        own={k: sent for k, sent in what.uploads.items() if k in mine},
        weights={k: weight for k, weight in what.weights.items() if everyone or k in mine},
        dealt={**what.dealt} if adversary.uploads else {},
        aggregate=what.aggregate if adversary.uploads or adversary.name == "aggregate" else None,
    )
