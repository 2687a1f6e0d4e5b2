"""Who the insider is, and what declared labels can tell at all, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from seepage.records import Block
from seepage.report.reading import beside_labels
from seepage.report.wording import percent, with_interval
from seepage.results import Results, Users

BLOCKS: tuple[Block, ...] = ("others", "held_out", "mix")
"""Whose records speak, the first there is. The question is whose, so the others' come first."""


def insiders(users: Users) -> str:
    """Who is curious, at the beginning of a sentence: ``Client 0`` or ``Clients 0 and 1``."""
    if not users.clients:
        return "The server"
    names = listed([str(client) for client in users.clients])
    return f"Client{'s' if len(users.clients) > 1 else ''} {names}"


def introduction(users: Users, study: Mapping[str, Any]) -> str:
    """Who the insider is, what it holds, what it knows, and whether it only listens."""
    several = len(users.clients) > 1
    if not users.clients:
        return f"The insider is the server. {_manner(users, study)}"
    own = sorted({label for client in users.clients for label in users.declared[client]})
    holds = labeled(own, users) if own else "no label"
    who = (
        f"{insiders(users)} of {users.federation} collude: they pool what they see, and hold"
        if several
        else f"The insider is client {users.clients[0]} of {users.federation}, which holds"
    )
    told = "They are" if several else "It is"
    knows = f" {told} told who takes part in each round." if users.attendance else ""
    return f"{who} {holds}. {_manner(users, study)}{knows}"


def _manner(users: Users, study: Mapping[str, Any]) -> str:
    ascent = (study.get("insider") or {}).get("ascent") or {}
    several = len(users.clients) > 1
    uploads = "they upload" if several else "it uploads"
    if ascent.get("by") == "server":
        return "It gives each target a model of its own, and keeps it apart from the others."
    if ascent:
        return f"What {uploads} raises the loss on the candidates, to be watched as it falls again."
    if users.generated is not None and users.generated.active:
        inject = "They inject a class of their own" if several else "It injects a class of its own"
        return (
            f"{inject}: in what {uploads}, drawn images are one class more, so that the others’ "
            "models learn to tell them from their records."
        )
    listens = "They only listen" if several else "It only listens"
    return f"{listens}: what {uploads} is trained as agreed."


def shared_labels(users: Users) -> list[int]:
    """Labels that several clients other than the insider's declared: they name no one client."""
    others = (
        set(labels) for client, labels in enumerate(users.declared) if client not in users.clients
    )
    times = Counter(label for labels in others for label in labels)
    return sorted(label for label, n in times.items() if n > 1)


def overlap(results: Results) -> str:
    """What declared labels can tell at all, and where to look for what they cannot."""
    users = results.users
    if users is None:
        return ""
    shared = shared_labels(users)
    if not shared:
        return (
            "No label is declared by two of the others: whose record it is comes down to which "
            "class it is."
        )
    some = labeled(shared, users)
    opened = some[0].upper() + some[1:]
    verb = "is" if len(shared) == 1 else "are"
    words = (
        f"{opened} {verb} declared by more than one of the others: declared labels cannot tell "
        "these clients apart."
    )
    return words + _within(results)


def _within(results: Results) -> str:
    """The best of any attack among records of the same label, where that was measured."""
    for block in BLOCKS:
        beside = [row for row in beside_labels(results, block, "all").values() if row.within_auc]
        if beside:
            best = max(beside, key=lambda row: row.within_auc or 0.0)
            if best.within_auc is None or best.within_interval is None:
                return ""
            auc = with_interval(best.within_auc, best.within_interval)
            return (
                " What is found beyond labels stands under “What labels alone tell”, within the "
                f"same label: at best AUC {auc}, by {best.name}."
            )
    return ""


def shown(share: float | None) -> str:
    """A share in per cent; a dash where there is none."""
    return "–" if share is None else f"{percent(share)} %"


def labeled(labels: Sequence[int], users: Users) -> str:
    """``label 3`` or ``labels 3 and 5``, by name where they have one."""
    known = {each.label: each.name for each in users.generated.classes} if users.generated else {}
    names = listed([known.get(label, str(label)) for label in labels])
    return f"label{'s' if len(labels) != 1 else ''} {names}"


def listed(words: Sequence[str]) -> str:
    """``0``, ``0 and 1``, ``0, 1 and 2``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
