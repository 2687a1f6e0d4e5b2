"""Every method of a study on every round's model, with the priors that they draw with."""

from __future__ import annotations

import time
from inspect import signature
from typing import TYPE_CHECKING

import torch

from seepage._rng import child_seed, torch_child
from seepage.audit.inversion import NONE, PreparedInversion, public_images
from seepage.audit.inversion_folder import Kept
from seepage.audit.inversion_measure import Judge, drawn, measure
from seepage.audit.inversion_train import Trajectory
from seepage.inversion import (
    PRIORS,
    REGULARIZERS,
    PriorSettings,
    PriorStore,
    Reconstructed,
    Target,
    prior_key,
    train_prior,
)
from seepage.results import InversionRow, PriorRow

if TYPE_CHECKING:
    from seepage.audit.train import Progress
    from seepage.inversion import Prior
    from seepage.inversion.contract import Kind

LABELS = 60
"""Labels that are inverted in one batch at most, as in the papers' code for faces."""

GRID = 24
"""Images that show what a prior draws with no attack."""


class Bench:
    """Every method on every round's model, with the priors it needs."""

    def __init__(
        self,
        prepared: PreparedInversion,
        trained: Trajectory,
        judge: Judge,
        store: PriorStore | None,
        kept: Kept,
        tell: Progress,
    ) -> None:
        self.prepared, self.trained, self.judge = prepared, trained, judge
        self.store, self.kept, self.tell = store, kept, tell
        self.settings = PriorSettings(**prepared.asked.prior.model_dump())
        public = prepared.asked.public.model_dump()
        self.public, self.holds = public_images(prepared.sides.public, public, prepared.study.seed)
        self.priors: list[PriorRow] = []
        self.shown: dict[str, torch.Tensor] = {}
        self.made: dict[tuple[str, int, str], list[Reconstructed]] = {}
        self._ready: dict[tuple[Kind, int | None], Prior] = {}

    def rows(self) -> list[InversionRow]:
        """One row a round, method and regularizer."""
        found, done = [], 0
        methods, regularizers = self.prepared.methods, self.prepared.regularizers
        total = len(self.prepared.rounds) * len(methods) * len(regularizers)
        self.tell("inversions", 0, total)
        for number in self.prepared.rounds:
            target = self.prepared.target(self.trained.models[number])
            for name in methods:
                prior = self.prior(methods[name].prior, number, target)
                baseline = self.judge.at_random(prior)
                for regularizer in regularizers:
                    made, seconds = self.attack(name, number, regularizer, target, prior)
                    self.made[name, number, regularizer] = made
                    found.append(
                        measure(
                            self.judge,
                            target,
                            made,
                            name=name,
                            number=number,
                            regularizer=regularizer,
                            weight=self._weight(regularizer),
                            baseline=baseline,
                            seconds=seconds,
                        )
                    )
                    done += 1
                    self.tell("inversions", done, total)
        return found

    def prior(self, kind: Kind, number: int, target: Target) -> Prior:
        """The prior of a kind, trained once; one that knows the target, once a round."""
        knows = PRIORS[kind].needs_target
        of = number if knows else None
        if (kind, of) not in self._ready:
            self._ready[kind, of] = self._prior(kind, of, target if knows else None)
        return self._ready[kind, of]

    def _prior(self, kind: Kind, number: int | None, target: Target | None) -> Prior:
        began = time.perf_counter()
        seed = child_seed(self.prepared.study.seed, "inversion", "prior", kind, number or 0)
        key = prior_key(kind, self.public, self.settings, target, seed)
        prior = self.store and self.store.get(key, self.public.device)
        reused = prior is not None
        if prior is None:
            stage = f"prior {kind}" if number is None else f"prior {kind}, round {number}"
            sheet = kind if number is None else f"{kind}-r{number:05d}"
            prior = train_prior(
                kind,
                self.public,
                self.settings,
                target=target,
                seed=seed,
                tell=lambda done, total: self.tell(stage, done, total),
                look=lambda _, images: self.kept.look(sheet, images),
            )
            if self.store:
                self.store.put(key, prior)
        self.priors.append(
            PriorRow(
                kind=kind,
                round=number,
                images=len(self.public),
                steps=self.settings.steps or PRIORS[kind].steps,
                seconds=time.perf_counter() - began,
                reused=reused,
            )
        )
        rng = torch.Generator().manual_seed(seed)
        self.shown[kind] = drawn(prior, prior.noise(GRID, self.public, rng)).cpu()
        return prior

    def attack(
        self, name: str, number: int, regularizer: str, target: Target, prior: Prior
    ) -> tuple[list[Reconstructed], float]:
        """All repeats of one attack, and what they took."""
        asked, made, spent = self.prepared.asked, [], 0.0
        for repeat in range(asked.repeats):
            key = f"r{number:05d}-{name}-{regularizer}-{repeat}"
            there = self.kept.get(key)
            if there is None:
                began = time.perf_counter()
                # the same draws with every regularizer: then what differs is what it does
                rng = torch_child(
                    self.prepared.study.seed, "inversion", name, "round", number, repeat
                )
                one = self._made(name, regularizer, target, prior, rng)
                there = one, time.perf_counter() - began
                self.kept.put(key, *there)
            made.append(there[0])
            spent += there[1]
        return made, spent

    def _made(
        self, name: str, regularizer: str, target: Target, prior: Prior, rng: torch.Generator
    ) -> Reconstructed:
        """One attack on all labels, no more than fit into memory at a time."""
        asked = self.prepared.asked
        whole = torch.from_numpy(self.prepared.labels).to(target.device)
        parts = whole.tensor_split(-(-len(whole) // LABELS))
        made = [
            self.prepared.methods[name].invert(
                target,
                prior,
                labels,
                asked.per_label,
                self.prepared.regularizers[regularizer],
                rng,
                **asked.options.get(name, {}),
            )
            for labels in parts
        ]
        shares = [len(labels) / len(self.prepared.labels) for labels in parts]
        return Reconstructed(
            images=torch.cat([one.images for one in made]),
            labels=torch.cat([one.labels for one in made]),
            latents=torch.cat([one.latents for one in made]),
            trace={
                key: sum(
                    (w * one.trace[key] for w, one in zip(shares, made, strict=True)), 0 * first
                )
                for key, first in made[0].trace.items()
            },
        )

    def _weight(self, regularizer: str) -> float | None:
        if regularizer == NONE:
            return None
        default = signature(REGULARIZERS[regularizer].factory).parameters["weight"].default
        return self.prepared.asked.options.get(regularizer, {}).get("weight", default)
