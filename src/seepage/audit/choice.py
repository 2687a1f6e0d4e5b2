"""Which attacks, signals and names a study means; wrong ones are refused with a suggestion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from seepage.attacks import ATTACKS
from seepage.records import UserError, suggestion

if TYPE_CHECKING:
    from seepage.protocols import Attack
    from seepage.study import Study


def choose(name: str, known: Iterable[str], *, what: str) -> str:
    """``name`` itself if it is known.

    Raises:
        UserError: It is not; the nearest known name is suggested.
    """
    known = sorted(known)
    if name in known:
        return name
    raise UserError(f"there is no {what} called {name!r}; {suggestion(name, known)}")


def is_harmless(name: str) -> bool:
    """Whether the name of data or a model leads to a table or a folder: to no code, no address."""
    return ":" not in name or name.startswith("folder:")


def choose_attacks(
    names: Iterable[str] | None, own: Mapping[str, Attack] | None = None
) -> dict[str, Attack]:
    """The attacks of the table that ``names`` lists (None: all), and the user's own after them.

    Raises:
        UserError: A name is in neither.
    """
    own = own or {}
    table = ATTACKS | dict(own)
    if names is None:
        return table
    return {choose(name, table, what="attack"): table[name] for name in [*names, *own]}


def check_names(study: Study, own: Mapping[str, Attack]) -> dict[str, Attack]:
    """The study's attacks, once every name in it is known to exist."""
    from seepage.defenses import DEFENSES
    from seepage.signals import SIGNALS

    choose(study.defense.name, DEFENSES, what="defense")
    for name in study.observe.signals or []:
        choose(name, SIGNALS, what="signal")
    return choose_attacks(study.attacks.names, own)


def signals_needed(study: Study, attacks: Mapping[str, Attack]) -> list[str]:
    """Every signal an attack reads, and those the study asks for by name."""
    needed = {name for attack in attacks.values() for name in attack.needs}
    return sorted(needed | set(study.observe.signals or []))
