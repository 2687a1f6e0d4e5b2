"""Which records are asked about, and about which clients; drawn once, before any training."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np

from seepage import federation
from seepage._rng import child
from seepage.records import HELD_OUT, Split, Truth, UserError

if TYPE_CHECKING:
    from seepage.sections import CandidatesSection
    from seepage.study import Study


def draw_candidates(
    split: Split, settings: CandidatesSection, seed: int, insiders: Collection[int] = ()
) -> Truth:
    """The one pool of candidates of a study, drawn once, with the owner of each.

    The records of ``insiders`` are no candidates: who holds them knows whose they are.

    Guarantees:
        * depends on the seed, the split and the settings alone, never on a client or round;
        * ids ascend and are unique.

    Raises:
        UserError: More records are asked for than there are.
    """
    targets = settings.targets
    owners, drawn = [], []
    for client, ids in [(HELD_OUT, split.held_out), *enumerate(split.clients)]:
        if client in insiders:
            continue
        if client == HELD_OUT:
            key, wanted = "held_out", settings.held_out
        elif targets == "all" or client in targets:
            key, wanted = "members", settings.members
        else:
            key, wanted = "others", settings.others
        if wanted is not None and wanted > len(ids):
            whose = "held out" if client == HELD_OUT else f"of client {client}"
            raise UserError(
                f"candidates.{key} = {wanted}: there are only {len(ids)} records {whose}. "
                f"Ask for at most {len(ids)}."
            )
        rng = child(seed, "candidates", client)
        picked = ids if wanted is None else rng.choice(ids, wanted, replace=False)
        drawn.append(picked)
        owners.append(np.full(len(picked), client))
    ids, owner = np.concatenate(drawn), np.concatenate(owners)
    order = np.argsort(ids)
    return Truth(ids=ids[order].astype(np.int64), owner=owner[order].astype(np.int64))


def taking_part(study: Study) -> dict[int, list[int]]:
    """The clients of each observed round: drawn ahead, since the draw depends on nothing else."""
    clients, share = study.data.clients, study.federation.participation
    return {
        number: federation.participants(clients, share, seed=study.seed, round_number=number)
        for number in study.observed_rounds
    }


def targets_of(study: Study, present: Mapping[int, list[int]]) -> list[int]:
    """The clients asked about; with ``all``, those that take part in an observed round, but for
    the insider's.

    Raises:
        UserError: One that is asked for by number takes part in none.
    """
    seen = {k for clients in present.values() for k in clients if k not in study.insider.clients}
    if study.candidates.targets == "all":
        return sorted(seen)
    absent = sorted(set(study.candidates.targets) - seen)
    if absent:
        raise UserError(
            f"candidates.targets: client {absent[0]} takes part in no observed round "
            f"(federation.participation = {study.federation.participation:g}). Observe more "
            f"rounds, or ask about one of {', '.join(map(str, sorted(seen)))}."
        )
    return sorted(set(study.candidates.targets))
