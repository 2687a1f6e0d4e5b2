"""Gradient ascent by a server that keeps its targets apart from the federation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from torch import Tensor, nn

from seepage.insiders.ascent import Ascent
from seepage.protocols import Insider

if TYPE_CHECKING:
    from seepage.protocols import InsideTurn
    from seepage.records import State


def isolating(
    targets: Iterable[int],
    inputs: Tensor,
    labels: Tensor,
    *,
    rate: float,
    steps: int,
    rounds: frozenset[int],
    model: nn.Module,
) -> Insider:
    r"""A server that gives each target its own last upload back, raised on the candidates.

    .. math:: \theta_{k} \leftarrow u_{k} + \gamma\,
        \nabla_\theta \frac{1}{n} \sum_{i=1}^{n} \ell(\theta; x_i, y_i), \qquad
        u_{k} \leftarrow \text{local training of } k \text{ from } \theta_{k}

    The climb is ``steps`` long in ``rounds`` and absent in the others; the upload :math:`u_k` is
    what the server received, after any defense. A target is given the global parameters once, in
    the round in which it is first drawn; a round in which it takes no part leaves it as it was.
    Nobody averages away what it learns, and nobody else's records are learned: its members' loss
    falls back in its own training, that of all other candidates does not, those of other clients
    included. So this tells whose a record is.

    A target that has fitted its records leaves little to raise on them, and the loss of the others
    grows from climb to climb. With a large γ, or a climb in every round, their spread then hides
    how far the members' loss falls, and how low it ends tells more.

    The targets' uploads enter no mean, so the others train without them.

    Args:
        targets: Clients to isolate; some others must take part in every round.
        inputs: The candidates' inputs, normalised, shape ``(n, ...)``, on the model's device.
        labels: Their classes, shape ``(n,)``.
        rate: Step size :math:`\gamma`, positive.
        steps: Steps in a round, at least 1.
        rounds: The rounds in which what the targets are given is raised, counting from 1.
        model: The architecture; left as it was.

    Raises:
        UserError: As :class:`~seepage.insiders.ascent.Ascent` does, and while it runs, naming
            round and rate, when a model is no longer finite.

    References:
        | Comprehensive Privacy Analysis of Deep Learning (Nasr et al., 2019), the isolating
        | attack with gradient ascent, https://arxiv.org/abs/1812.00910

    Differs from the paper: as :func:`~seepage.insiders.ascent.ascending` does.
    """
    ascent = Ascent(
        model=model, inputs=inputs, labels=labels, rate=rate, steps=steps, rounds=rounds
    )
    return Insider(deal=partial(_deal, tuple(sorted(targets)), ascent), took=_keep)


def _deal(targets: tuple[int, ...], ascent: Ascent, turn: InsideTurn) -> dict[int, State]:
    return {client: ascent.raised(_last(client, turn), turn.number) for client in targets}


def _last(client: int, turn: InsideTurn) -> State:
    """The target's last upload, or the global parameters if it has sent none."""
    return {name: turn.kept.get(_name(client, name), old) for name, old in turn.start.items()}


def _keep(turn: InsideTurn, took: Mapping[int, State]) -> None:
    for client, state in took.items():
        for name, value in state.items():
            turn.kept[_name(client, name)] = value.clone()  # an upload may be a part of a stack


def _name(client: int, parameter: str) -> str:
    return f"isolated/c{client:03d}/{parameter}"
