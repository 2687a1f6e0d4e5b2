"""The rounds of a federation. Knows no file and no attack."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from torch import nn

from seepage.federation.inside import Inside, remembered
from seepage.federation.server import participants, weights
from seepage.federation.settings import Federation
from seepage.federation.turns import Turns
from seepage.protocols import Defense, Insider
from seepage.records import Dataset, Round, Split, UserError
from seepage.states import aggregate, refuse_running_statistics, running_statistics, state_of
from seepage.training import (
    Executor,
    Plan,
    Spread,
    choose_plan,
    over_rounds,
    train,
)

if TYPE_CHECKING:
    from seepage.protocols import InsideTurn, Turn, UpdateHook
    from seepage.records import State


def run(
    model: nn.Module,
    dataset: Dataset,
    split: Split,
    settings: Federation,
    *,
    seed: int,
    defense: Defense | None = None,
    plan: Plan | None = None,
    executor: Executor | None = None,
    start: State | None = None,
    first_round: int = 1,
    memory: Mapping[str, State] | None = None,
    insider: Insider | None = None,
) -> Iterator[Round]:
    """Train a federation, giving out each round when it is done.

    Guarantees:
        * every draw is named by (seed, client, round): a run that is resumed with the ``after``
          and ``memory`` of round r - 1 and ``first_round=r`` gives the same numbers, bit for bit;
        * one client without a defense is that client's own training, round after round;
        * the order in which clients are trained or arrive changes nothing, bit for bit;
        * an insider that only watches changes nothing, bit for bit; one whose clients train
          honestly changes nothing up to rounding, bit for bit where its trainer's plan is this
          run's.

    Running statistics of normalisation layers are part of what is sent, averaged with the same
    weights and given out, as is usual; defenses on updates and on the mean act on
    parameters alone.

    A round goes: the insider deals, clients train, the insider's own upload what it says, all
    uploads pass the defense, the server moves the global model, the insider takes what the
    clients it dealt to sent, and watches. The mean is over the clients that were not dealt to,
    with weights among themselves; what the others say is not heard either.

    Args:
        model: The architecture, on the data set's device; left as it was.
        dataset: All samples.
        split: Who trains on what.
        settings: How they train together.
        seed: The run's seed.
        defense: Its hooks on batch, loss, gradient, update and server act here.
        plan: How the clients of a round are trained; chosen by
            :func:`~seepage.training.choose_plan` if None.
        executor: Where a plan of kind ``processes`` submits its work; processes of its own,
            kept for the run, if None.
        start: Global parameters before ``first_round``; the model's own if None.
        first_round: Number of the first round to train.
        memory: What clients, server and insider kept from the rounds before, as their last round
            says.
        insider: Who is curious in this federation, and what it does; nobody if None.

    Raises:
        UserError: A client has no data, the start is missing, the model keeps running statistics
            that the defense does not cover, the insider names a client that does not
            exist, or (while it runs) training diverged, the insider hands over no whole set of
            finite parameters, or it deals to every client of a round, so that nobody is left for
            the mean.
    """
    check_sent(model, defense or Defense())
    empty = [client for client, ids in enumerate(split.clients) if not len(ids)]
    if empty or not split.clients:
        who = f"client {empty[0]} has none" if empty else "there is no client"
        raise UserError(f"every client needs data: {who}. Use fewer clients or larger shares.")
    if first_round > 1 and start is None:
        raise UserError(f"going on from round {first_round} needs the parameters to start from")
    state = start or state_of(model)
    if plan is None:
        device = dataset.inputs.device
        plan = choose_plan(model, device=device, clients=len(split.clients))
    defense = over_rounds(defense or Defense(), settings.rounds)
    who = insider or Insider()
    inside = Inside(who, model, dataset, split, settings, defense=defense, seed=seed)
    going = _Run(model, dataset, split, settings, seed, defense, plan, inside)
    return going.rounds(executor, state, first_round, {} if memory is None else memory)


def check_sent(model: nn.Module, defense: Defense) -> None:
    """Make sure that nothing is sent past a defense that promises clipping or noise.

    Raises:
        UserError: It does, on updates or on gradients of single records, and the model keeps
            running statistics, which neither covers.
    """
    if defense.gradient is not None:
        refuse_running_statistics(
            model, "with which no gradient is a single record's, as this defense clips it"
        )
    if defense.noise is not None:
        refuse_running_statistics(
            model, "which would be sent past this defense's clipping and noise"
        )


@dataclass(frozen=True)
class _Run:
    """What stays the same from round to round."""

    model: nn.Module
    dataset: Dataset
    split: Split
    settings: Federation
    seed: int
    defense: Defense
    plan: Plan
    inside: Inside

    def rounds(
        self, executor: Executor | None, state: State, first: int, memory: Mapping[str, State]
    ) -> Iterator[Round]:
        spreading, many = self.plan.kind == "processes", self.plan.workers
        workers = Spread(self.dataset, workers=many, executor=executor) if spreading else None
        with workers or nullcontext():
            for number in range(first, self.settings.rounds + 1):
                what = self._round(number, state, memory, workers)
                yield what
                state, memory = what.after, what.memory

    def _round(
        self, number: int, state: State, memory: Mapping[str, State], workers: Spread | None
    ) -> Round:
        clients = participants(
            len(self.split.clients),
            self.settings.participation,
            seed=self.seed,
            round_number=number,
        )
        turn = self.inside.turn(number, state, clients, memory)
        dealt = self.inside.deal(turn, clients)
        share = self._weights(number, clients, dealt)
        turn = replace(turn, weights={k: share[k] for k in turn.taking_part})
        raw = self._trained(turn, clients, dealt, workers)
        turns = Turns(self.seed, number, share, memory)
        uploads = self._sent(state, raw, dealt, turns)
        mean = aggregate({k: uploads[k] for k in share}, share)
        after = self._moved(state, mean, turns)
        self.inside.end(turn, {k: uploads[k] for k in dealt}, after)
        return Round(
            number=number,
            start=state,
            uploads=uploads,
            weights=share,
            after=after,
            learning_rate=self.settings.rate(number),
            raw_uploads=raw,
            aggregate=mean,
            memory=remembered(turns.memory(), turn),
            dealt=dealt,
            statistics=frozenset(running_statistics(self.model)),
        )

    def _weights(
        self, number: int, clients: Sequence[int], dealt: Mapping[int, State]
    ) -> dict[int, float]:
        share = weights({k: len(self.split.clients[k]) for k in clients if k not in dealt})
        if not share:
            raise UserError(
                f"round {number}: all clients that take part ({', '.join(map(str, clients))}) "
                "are isolated, so nobody is left for the mean. Isolate fewer, or raise "
                "federation.participation."
            )
        return share

    def _trained(
        self,
        turn: InsideTurn,
        clients: Sequence[int],
        dealt: Mapping[int, State],
        workers: Spread | None,
    ) -> Mapping[int, State]:
        """What the clients have to send, ascending: trained honestly, or as the insider says."""
        sent = self.inside.upload(turn)
        honest = [k for k in clients if k not in sent]
        raw = train(
            self.model,
            [dealt.get(k, turn.start) for k in honest] if dealt else turn.start,
            {k: self.split.clients[k] for k in honest},
            self.dataset,
            self.settings.local,
            learning_rate=turn.learning_rate,
            seed=self.seed,
            round_number=turn.number,
            plan=self.plan,
            defense=self.defense,
            spread=workers,
        )
        return {k: sent[k] if k in sent else raw[k] for k in clients}

    def _sent(
        self, start: State, raw: Mapping[int, State], dealt: Mapping[int, State], turns: Turns
    ) -> Mapping[int, State]:
        """What clients send, through the hook ``update`` on the change of what each was given."""
        hook = self.defense.update
        if hook is None:
            return raw
        beside = running_statistics(self.model)
        return {
            k: change(dealt.get(k, start), sent, hook, turns.client(k), beside=beside)
            for k, sent in raw.items()
        }

    def _moved(self, start: State, mean: State, turns: Turns) -> State:
        """What becomes of the mean, through the hook ``server``."""
        hook = self.defense.server
        if hook is None:
            return mean
        return change(start, mean, hook, turns.server(), beside=running_statistics(self.model))


def change(
    old: State, new: State, hook: UpdateHook, turn: Turn, *, beside: Collection[str] = ()
) -> State:
    """``new`` with its change against ``old`` passed through a hook, but for what is ``beside``.

    A tensor that the hook hands back as it was is ``new``'s own, bit for bit: going through
    ``old + (new - old)`` would round it.
    """
    before = {name: new[name] - old[name] for name in new if name not in beside}
    changed = hook(before, turn)
    if set(changed) != set(before):
        missing = sorted(set(before) ^ set(changed))[0]
        raise UserError(
            f"a defense's update hook must return every parameter it was given and no other; "
            f"{missing!r} is not in both"
        )
    return {
        name: new[name]
        if name in beside or changed[name] is before[name]
        else old[name] + changed[name]
        for name in new
    }
