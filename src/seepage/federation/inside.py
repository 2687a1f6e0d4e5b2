"""What an insider does in a round: clients, or the server, that do more than they should."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from seepage._rng import torch_child
from seepage.federation.settings import Federation
from seepage.protocols import Defense, Insider, InsideTurn
from seepage.records import Dataset, Split, UserError
from seepage.training import Softened, Trainer, cpu_threads

if TYPE_CHECKING:
    from seepage.records import State

INSIDER = "insider"
"""The name under which a round's memory holds what the insider keeps."""


class Inside:
    """An insider's part in a federation.

    Its clients' records are copied out of the data set: nothing that a turn holds leads back to
    another client's. It computes on one thread, as every client does: two that wait for each other
    on a busy machine take many times as long.

    Args:
        insider: What it does; one that does nothing leaves every round as it was.
        model: The architecture.
        dataset: All samples.
        split: Who trains on what.
        settings: How clients train together.
        defense: What all agreed on, as the honest clients train with it.
        seed: The run's seed.

    Raises:
        UserError: The insider names a client that does not exist.
    """

    def __init__(
        self,
        insider: Insider,
        model: nn.Module,
        dataset: Dataset,
        split: Split,
        settings: Federation,
        *,
        defense: Defense,
        seed: int,
    ) -> None:
        self._insider, self._model, self._settings = insider, model, settings
        self._clients, self._normal = len(split.clients), (dataset.mean, dataset.std)
        self._defense, self._seed = defense, seed
        self._check_clients("the insider", insider.clients)
        self._own = {k: _records(dataset, split, k) for k in insider.clients}

    def turn(
        self, number: int, start: State, clients: Sequence[int], memory: Mapping[str, State]
    ) -> InsideTurn:
        """Its turn of round ``number``, in which ``clients`` take part.

        What it kept comes as a copy, so the memory given stays as it was. Weights are not known
        before it has dealt.
        """
        taking_part = tuple(client for client in clients if client in self._own)
        return InsideTurn(
            number=number,
            start=start,
            learning_rate=self._settings.rate(number),
            taking_part=taking_part,
            trainers={k: self._trainer(k, number, start) for k in taking_part},
            weights={},
            defense=self._defense,
            rng=torch_child(self._seed, INSIDER, number),
            kept=dict(memory.get(INSIDER, {})),
        )

    def deal(self, turn: InsideTurn, clients: Sequence[int]) -> dict[int, State]:
        """What clients of this round are given in place of the global parameters, ascending.

        Raises:
            UserError: One of them does not exist or is the insider's own, or what it is given is
                not a whole set of finite parameters.
        """
        if self._insider.deal is None:
            return {}
        dealt = self._insider.deal(turn)
        self._check_clients("the insider's deal", dealt)
        if own := sorted(dealt.keys() & self._own.keys()):
            raise UserError(
                f"round {turn.number}: the insider deals to client {own[0]}, which is its own. "
                "Deal to others alone."
            )
        return {k: _whole(dealt[k], turn, f"is dealt to client {k}") for k in clients if k in dealt}

    def upload(self, turn: InsideTurn) -> dict[int, State]:
        """What its clients send in place of honest training, ascending; nothing if they train so.

        Raises:
            UserError: These are not exactly its clients that take part, or what one sends is not
                a whole set of finite parameters.
        """
        if self._insider.upload is None or not turn.taking_part:
            return {}
        with cpu_threads(1):
            sent = self._insider.upload(turn)
        if wrong := sorted(sent.keys() ^ set(turn.taking_part)):
            problem = "does not speak for" if wrong[0] in sent else "leaves out"
            raise UserError(
                f"round {turn.number}: the insider's upload {problem} client {wrong[0]}. Return "
                f"one state for each of turn.taking_part, here {list(turn.taking_part)}."
            )
        return {k: _whole(sent[k], turn, f"is uploaded by client {k}") for k in turn.taking_part}

    def end(self, turn: InsideTurn, took: Mapping[int, State], after: State) -> None:
        """It takes what the clients that were dealt to sent, and watches the round's outcome."""
        with cpu_threads(1):
            if self._insider.took is not None and took:
                self._insider.took(turn, took)
            if self._insider.watch is not None:
                self._insider.watch(turn, after)

    def _trainer(self, client: int, number: int, start: State) -> Trainer:
        mean, std = self._normal
        return Trainer(
            model=self._model,
            start=start,
            samples=self._own[client],
            settings=self._settings.local,
            learning_rate=self._settings.rate(number),
            seed=self._seed,
            mean=mean,
            std=std,
            public=np.empty(0, dtype=np.int64),
            round_number=number,
        )

    def _check_clients(self, who: str, named: Sequence[int] | Mapping[int, State]) -> None:
        if foreign := sorted(set(named) - set(range(self._clients))):
            raise UserError(
                f"{who} names client {foreign[0]}, which does not exist; clients are numbered 0 "
                f"to {self._clients - 1}"
            )


def remembered(memory: Mapping[str, State], turn: InsideTurn) -> dict[str, State]:
    """What everyone keeps for the next round, the insider included if it keeps anything."""
    others = {who: kept for who, kept in memory.items() if who != INSIDER}
    return others | ({INSIDER: dict(turn.kept)} if turn.kept else {})


def _records(dataset: Dataset, split: Split, client: int) -> Softened:
    rows = torch.as_tensor(split.clients[client], dtype=torch.int64).to(dataset.inputs.device)
    return Softened(dataset.inputs[rows], dataset.labels[rows], dataset.classes)


def _whole(state: State, turn: InsideTurn, what: str) -> State:
    """``state`` in the order of the global parameters, if it is of their kind and finite."""
    where, start = f"round {turn.number}: what {what}", turn.start
    if wrong := sorted(state.keys() ^ start.keys()):
        problem = "holds no parameter" if wrong[0] in start else "holds an unknown parameter"
        raise UserError(
            f"{where} {problem} {wrong[0]!r}. Return every one of turn.start, no other."
        )
    for name, old in start.items():
        new = state[name]
        if (new.shape, new.dtype) != (old.shape, old.dtype):
            raise UserError(
                f"{where} needs {name!r} of shape {tuple(old.shape)} and type {old.dtype}, got "
                f"{tuple(new.shape)} and {new.dtype}"
            )
        if not bool(torch.isfinite(new).all()):
            raise UserError(
                f"{where} is not finite (NaN or infinite) in {name!r}. Lower a step size."
            )
    return {name: state[name].detach() for name in start}
