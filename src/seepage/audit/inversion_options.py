"""Whether the options of a study's inversion can be, said before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import TYPE_CHECKING, Any

from seepage.audit.choice import choose
from seepage.inversion import INVERSIONS, REGULARIZERS, fitting
from seepage.records import UserError

if TYPE_CHECKING:
    from seepage.study import InversionSection

HALVES = ("coco", "hsic")
"""Regularizers that compare two halves of a group, of at least two images each."""


def check_options(options: Mapping[str, Mapping[str, Any]]) -> None:
    """Hold every option against what its method or regularizer takes, in the run or not.

    Raises:
        UserError: There is no such method, regularizer or option, or a value is out of range.
    """
    for name, given in options.items():
        choose(name, {*INVERSIONS, *REGULARIZERS}, what="method or regularizer")
        if name in INVERSIONS:
            known, function = INVERSIONS[name].options, INVERSIONS[name].invert
        else:
            known, function = REGULARIZERS[name].options, REGULARIZERS[name].factory
        for key in given:
            choose(key, known, what=f"option of {name}")
        fitting(function, given, f"inversion.options.{name}.")


def check_groups(asked: InversionSection, labels: int) -> None:
    """Refuse a regularizer that has nothing to compare: its row would say what was not done.

    Args:
        asked: The section, whose options are checked.
        labels: Private classes to reconstruct. A batch has all of them, or at least 30.

    Raises:
        UserError: A method shows a regularizer too few images at once.
    """
    for name in asked.attacks:
        count, setting = _group(asked, name, labels)
        for regularizer in asked.regularizers:
            halves = regularizer in HALVES
            least = 4 if halves else 2
            if regularizer != "none" and count < least:
                raise UserError(
                    f"inversion.regularizers: {regularizer} compares "
                    f"{'halves' if halves else 'the images'} of a group, which for {name} has "
                    f"{count} images; expected at least {least}. Raise {setting}, or leave the "
                    "regularizer out."
                )


def _group(asked: InversionSection, name: str, labels: int) -> tuple[int, str]:
    """Images of a group, and the setting that says so."""
    method, given = INVERSIONS[name], asked.options.get(name, {})
    if given.get("groups") == "across":
        return labels, "the number of inversion.labels"
    if method.group is None:
        return asked.per_label, "inversion.per_label"
    own = signature(method.invert).parameters[method.group].default
    return given.get(method.group, own), f"inversion.options.{name}.{method.group}"
