"""Which attacks, signals and names a study means; wrong ones are refused with a suggestion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal

from seepage.attacks import ATTACKS
from seepage.records import UserError, suggestion

if TYPE_CHECKING:
    from seepage.protocols import Attack, Defense
    from seepage.records import Dataset
    from seepage.study import Study


def choose(name: str, known: Iterable[str], *, what: str) -> str:
    """``name`` itself if it is known.

    Raises:
        UserError: It is not; the nearest known name is suggested, or those that begin with it.
    """
    known = sorted(known)
    if name in known:
        return name
    kin: list[str] = []
    for one in known:
        if one.startswith(f"{name}_") and not one.startswith(tuple(f"{each}_" for each in kin)):
            kin.append(one)
    hint = f"did you mean {' or '.join(kin)}?" if kin else suggestion(name, known)
    raise UserError(f"there is no {what} called {name!r}; {hint}")


def is_harmless(name: str) -> bool:
    """Whether the name of data or a model leads to a table or a folder: to no code, no address."""
    return ":" not in name or name.startswith("folder:")


def choose_attacks(
    names: Iterable[str] | None, own: Mapping[str, Attack] | None = None
) -> dict[str, Attack]:
    """The attacks of the table that ``names`` lists (None: all), and the user's own after them.

    Raises:
        UserError: A name is in neither, or ``names`` is one name and not a list.
    """
    if isinstance(names, str):
        raise UserError(f"attacks = {names!r}: expected a list of names, such as [{names!r}].")
    own = own or {}
    table = ATTACKS | dict(own)
    if names is None:
        return {name: attack for name, attack in table.items() if not attack.only_by_name}
    return {choose(name, table, what="attack"): table[name] for name in [*names, *own]}


def attacks_over(
    over: Literal["client", "model"], attacks: Mapping[str, Attack], *, named: Iterable[str] | None
) -> dict[str, Attack]:
    """Those of ``attacks`` that compare clients, or models; others only where nobody named them.

    A federation has rounds, too, so attacks on these are among those over ``client``.

    Raises:
        UserError: One that was named compares the other thing, or none is left.
    """
    these = ("client", "round") if over == "client" else ("model",)
    fit = {name: attack for name, attack in attacks.items() if attack.over in these}
    foreign = [name for name in named or () if name not in fit]
    kind = {"client": "clients' uploads", "model": "models"}
    if foreign:
        hint = (
            "set reference.models to how many to train"
            if over == "client"
            else "leave reference.models out"
        )
        raise UserError(
            f"attack {foreign[0]!r} compares {kind['model' if over == 'client' else 'client']}, "
            f"and this study has {kind[over]}. Choose another attack, or {hint}."
        )
    if not fit:
        raise UserError(f"no attack compares {kind[over]}. `seepage list attacks` names some.")
    return fit


def where_known(
    study: Study, attacks: Mapping[str, Attack], *, knows: bool
) -> tuple[dict[str, Attack], dict[str, str]]:
    """Those of ``attacks`` that an adversary has what it takes for, and why others are left out.

    Adaptive attacks are for defenses that one can measure through. Where there is nothing to know
    they are the plain ones over again, and left out: with a reason if they were asked for, so that
    one list of attacks does for a defense and for none.

    Args:
        study: A study whose names have been checked.
        attacks: The attacks by name.
        knows: Whether the defense is one to measure through.

    Raises:
        UserError: No attack is left, or the study asks for an adaptive signal by name.
    """
    from seepage.signals.adaptive import ADAPTIVE

    if knows:
        return dict(attacks), {}
    reason = (
        f"the defense {study.defense.name!r} acts neither on batches nor on a loss of answers "
        "alone, and sends every coordinate, so knowing it changes no measure: the plain attacks "
        "are the adaptive ones"
    )
    if asked := sorted(set(study.observe.signals or []) & set(ADAPTIVE)):
        raise UserError(f"{asked[0]} cannot be measured: {reason}. Leave it out.")
    able = {name: a for name, a in attacks.items() if not set(a.needs) & set(ADAPTIVE)}
    if not able:
        raise UserError(f"no attack is left: {reason}. Name these.")
    asked_for = set(study.attacks.names or ()) | (set(attacks) - set(ATTACKS))
    return able, {name: f"{reason}." for name in attacks if name not in able and name in asked_for}


def check_names(study: Study, own: Mapping[str, Attack] | None) -> dict[str, Attack]:
    """The study's attacks, once every name in it is known to exist."""
    from seepage.defenses import DEFENSES
    from seepage.signals import SIGNALS

    for name in study.defense.name.split("+"):
        choose(name, DEFENSES, what="defense")
    for name in study.observe.signals or []:
        choose(name, SIGNALS, what="signal")
    return choose_attacks(study.attacks.names, own)


def build_defense(study: Study, *, central: bool, dataset: Dataset) -> Defense:
    """The study's defense.

    Args:
        study: A study whose names have been checked.
        central: Whether a model's members are all in one place, for one training.
        dataset: The study's data, whose mean and deviation lead back to raw pixels.

    Raises:
        UserError: An option is wrong, or the defense needs what a federation does not have.
    """
    from seepage.defenses import build

    refuse_central(study, central=central)
    return build(study.defense.name, study.defense.options, normal=(dataset.mean, dataset.std))


def refuse_central(study: Study, *, central: bool) -> None:
    """Refuse a defense that needs all members in one place where they are not.

    Raises:
        UserError: It does; the message says why and what to set.
    """
    from seepage.defenses import entries

    for part, entry in entries(study.defense.name).items():
        if not (central or entry.federated):
            raise UserError(
                f"defense {part!r} cannot be used in a federation: {entry.why_not}. It takes all "
                "members in one place: set reference.models to how many models to train, "
                "data.clients = 1 and federation.rounds = 1."
            )


def signals_needed(study: Study, attacks: Mapping[str, Attack]) -> list[str]:
    """Every signal an attack reads, and those the study asks for by name."""
    needed = {name for attack in attacks.values() for name in attack.needs}
    return sorted(needed | set(study.observe.signals or []))
