"""All that the training and the questioning of reference models need, in one record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from seepage import federation
from seepage._rng import child_seed
from seepage.protocols import Fitted
from seepage.records import Dataset, IntArray, Split
from seepage.signals.answers import Responder, answers, signals_of_answers
from seepage.signals.arrays import check_state
from seepage.signals.queries import variants
from seepage.states import state_of
from seepage.training import Plan, Softened, Trainer, choose_plan, train

if TYPE_CHECKING:
    import numpy as np

    from seepage.federation import Federation
    from seepage.protocols import Defense
    from seepage.records import State

ROLE = "reference"


@dataclass(frozen=True, kw_only=True)
class Measuring:
    """What is asked of every trained model.

    Attributes:
        ids: Records asked about: the pool and the public ones, ascending.
        names: Signals to keep.
        queries: Times each record is asked about; the first time unchanged.
        logits: Whether the answers to the unchanged records are kept as well, as float16.
        respond: Whether answers go through the defense's ``respond`` first.
    """

    ids: IntArray
    names: tuple[str, ...]
    queries: int = 1
    logits: bool = False
    respond: bool = True


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Everything that S trainings share. A training is a pure function of this and a number.

    Attributes:
        build: ``build(seed=…)`` makes the architecture with first weights of its own.
        dataset: All samples, labels as they are trained on.
        shards: For each model, the rows of each of its clients.
        settings: How its clients train together; one client is training in one place.
        defense: The hooks.
        seed: The study's seed.
        public: Rows outside the pool that a defense may use.
        validation: Rows outside the pool that choose the best epoch.
        plan: How models are trained together.
        keys: One a model: names everything its training depends on.
        measuring: What is asked of every model afterwards.
    """

    build: Callable[..., nn.Module]
    dataset: Dataset
    shards: Sequence[Sequence[IntArray]]
    settings: Federation
    defense: Defense
    seed: int
    public: IntArray
    validation: IntArray
    plan: Plan
    keys: Sequence[str]
    measuring: Measuring

    @property
    def models(self) -> int:
        """Number of models *S*."""
        return len(self.shards)

    @property
    def federated(self) -> bool:
        """Whether something is sent: by several clients, in several rounds, or through a hook."""
        sent = self.defense.update is not None or self.defense.server is not None
        return sent or self.settings.rounds > 1 or len(self.shards[0]) > 1

    @property
    def together(self) -> int:
        """Most models of one unit of work: those that are trained as one program."""
        return 1 if self.federated or self.defense.fit is not None else self.plan.chunk

    def network(self, number: int) -> nn.Module:
        """The architecture with model ``number``'s first weights, on the data's device."""
        made = self.build(seed=child_seed(self.seed, ROLE, number, "model"))
        return made.to(self.dataset.inputs.device)

    def fit(self, numbers: Sequence[int]) -> dict[int, Fitted]:
        """Train some models: together where the study's pipeline is plain training."""
        if self.federated:
            return {number: self._federated(number) for number in numbers}
        if self.defense.fit is not None:
            hook = self.defense.fit
            return {n: hook(self._trainer(n), n, self.shards[n][0]) for n in numbers}
        networks = [self.network(number) for number in numbers]
        trained = train(
            networks[0],
            [state_of(network) for network in networks],
            {number: self.shards[number][0] for number in numbers},
            self.dataset,
            self.settings.local,
            learning_rate=self.settings.rate(1),
            seed=self.seed,
            role=ROLE,
            plan=self.plan,
            defense=self.defense,
            validation=self._validation(),
        )
        return {number: Fitted(state=state) for number, state in trained.items()}

    def _trainer(self, number: int) -> Trainer:
        network = self.network(number)
        return Trainer(
            model=network,
            start=state_of(network),
            samples=self.dataset,
            settings=self.settings.local,
            learning_rate=self.settings.rate(1),
            seed=self.seed,
            mean=self.dataset.mean,
            std=self.dataset.std,
            public=self.public,
            validation=self._validation(),
        )

    def _federated(self, number: int) -> Fitted:
        network, clients = self.network(number), tuple(self.shards[number])
        rounds = federation.run(
            network,
            self.dataset,
            Split(clients=clients, held_out=self.public),
            self.settings,
            seed=child_seed(self.seed, ROLE, number, "federation"),
            defense=self.defense,
            plan=choose_plan(
                network,
                device=self.dataset.inputs.device,
                clients=len(clients),
                may_spawn=False,
            ),
        )
        state: State = state_of(network)
        for what in rounds:
            state = what.after
        return Fitted(state=state)

    def _validation(self) -> Softened | None:
        if not len(self.validation):
            return None
        rows = torch.as_tensor(self.validation)
        data = self.dataset
        return Softened(data.inputs[rows], data.labels[rows], data.classes)

    def measure(self, number: int, fitted: Fitted) -> dict[str, np.ndarray]:
        """The signals of one model over the records asked about, ``(n,)`` or ``(n, queries)``."""
        asked, data, hook = self.measuring, self.dataset, self.defense.respond
        rows = torch.as_tensor(asked.ids)
        network = self.network(number)
        check_state(network, fitted.state)
        responder = None
        if asked.respond and hook is not None:
            responder = Responder(
                hook=hook, mean=data.mean, std=data.std, seed=self.seed, kept=fitted.kept
            )
        logits = torch.stack(
            [
                answers(network, fitted.state, inputs, respond=responder, path=(number, query))
                for query, inputs in enumerate(
                    variants(data.inputs[rows], asked.queries, seed=self.seed)
                )
            ]
        )
        found = signals_of_answers(logits, data.labels[rows], asked.names)
        if asked.logits:
            found["logits"] = logits[0].to(torch.float16).cpu().numpy()
        return found
