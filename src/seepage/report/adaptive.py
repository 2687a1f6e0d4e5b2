"""What knowing the defense is worth: every plain attack beside the one that measures through it."""

from __future__ import annotations

from dataclasses import dataclass

from seepage.report.reading import Lead, lead
from seepage.report.wording import fixed, with_interval
from seepage.results import AttackRow, Results

SUFFIX = "_adaptive"
"""What the name of an attack ends with that measures through the defense; before it stands the
plain one's."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """An attack as it is, and by an adversary who knows the defense."""

    plain: AttackRow
    adaptive: AttackRow

    @property
    def gain(self) -> str:
        """The difference of the AUCs, signed; of rounded ones, so that the table adds up."""
        plain, adaptive = (float(each) for each in fixed((self.plain.auc, self.adaptive.auc), 3))
        return f"{adaptive - plain:+.3f}".replace("-", "−")


@dataclass(frozen=True, kw_only=True)
class Known:
    """A defended run, seen by who knows the defense.

    Attributes:
        defense: Its name.
        pairs: Both attacks of each kind, the strongest adaptive one first; none where the study
            ran no attack that measures through the defense.
        words: What they come to, in a sentence.
    """

    defense: str
    pairs: list[Pair]
    words: str


def known(results: Results) -> Known | None:
    """Plain and adaptive attacks of the leading block; None without a defense or in other audits.

    The verdict takes the strongest of all attacks, these among them, and widens for all of them.
    """
    name = str((results.study.get("defense") or {}).get("name") or "none")
    leading = lead(results)
    if name == "none" or leading is None or leading.unit != "client":
        return None
    pairs = _pairs(leading)
    return Known(defense=name, pairs=pairs, words=_words(name, pairs))


def _pairs(leading: Lead) -> list[Pair]:
    rows = {row.name: row for row in leading.rows}
    return [
        Pair(plain=rows[name.removesuffix(SUFFIX)], adaptive=row)
        for name, row in rows.items()
        if name.endswith(SUFFIX) and name.removesuffix(SUFFIX) in rows
    ]


def _words(name: str, pairs: list[Pair]) -> str:
    if not pairs:
        return (
            f"No attack was run that measures through the defense {name}. Where a defense acts on "
            "updates alone there is nothing to measure through: the plain attacks read what it "
            "sends."
        )
    best = max((pair.adaptive for pair in pairs), key=lambda row: row.auc)
    plain = max((pair.plain for pair in pairs), key=lambda row: row.auc)
    first, second = (with_interval(row.auc, row.auc_interval, 3) for row in (best, plain))
    (low, high), (least, most) = best.auc_interval, plain.auc_interval
    if low <= most and least <= high:
        comes_to = "the two intervals overlap"
    else:
        comes_to = "knowing helps" if best.auc > plain.auc else "knowing does not help"
    return (
        f"Who knows the defense {name} and measures through it reaches AUC {first} "
        f"({best.name}); the same attacks on plain signals reach {second} ({plain.name}): "
        f"{comes_to}."
    )
