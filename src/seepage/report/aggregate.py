"""What secure aggregation hides: one question, asked of single uploads and of their sum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seepage.report.reading import Lead, confidence, lead_on_anyone, rate_at
from seepage.report.wording import count, fixed, percent, point, rate, with_interval
from seepage.results import AttackRow, Interval, Rate, Results

POINTS = ("0.001", "0.01")
"""Operating points to tell rates at, the finest first."""

WHOSE = (
    "Whose record it is, the sum does not say: it is the same sum, whoever holds the record. So no "
    "attack on it can be asked about one client."
)
PARTIAL = (
    "Here a draw decides who takes part in a round, and that is known. It could narrow down whose "
    "a record is; no attack makes use of it."
)


@dataclass(frozen=True, kw_only=True)
class Side:
    """The best that one view allows: an attack and its rate at the point that speaks.

    ``area`` and ``interval`` are its AUC; among records of the same label where the study dealt
    labels out unevenly.
    """

    view: str
    row: AttackRow
    area: float
    interval: Interval
    at: str | None
    rate: Rate | None

    @property
    def auc(self) -> str:
        return with_interval(self.area, self.interval, 3)

    @property
    def found(self) -> str:
        return "–" if self.rate is None else rate(self.rate.value, self.rate.interval)


@dataclass(frozen=True, kw_only=True)
class Hidden:
    """Both views side by side, and what they say together.

    Attributes:
        uploads: The best attack of those that take single uploads.
        sums: The best of those that do without.
        sizes: How many records were asked about.
        at: The operating point of both rates as people say it; None where none is resolved.
        cost: What the view costs the adversary, in a sentence.
        whose: What no attack on the sum can say.
        level: Of the intervals, in per cent.
        within: Whether both are among records of the same label.
    """

    uploads: Side
    sums: Side
    sizes: str
    at: str | None
    cost: str
    whose: str
    level: str
    within: bool

    @property
    def sides(self) -> tuple[Side, Side]:
        return self.uploads, self.sums


def hidden(results: Results) -> Hidden | None:
    """What hiding single uploads costs the adversary; None where only one side was attacked.

    Both sides are asked whether anyone trained on a record, for the sum can answer nothing else.
    The best attack of each has the highest AUC. Rates are told at the finest of 1 % and 0.1 % false
    alarms that both resolve. Where labels were dealt out unevenly, the AUC is that among records of
    the same label, and no rates are told.
    """
    leading = lead_on_anyone(results)
    if leading is None:
        return None
    areas = _areas(leading)
    rows = sorted(
        (row for row in leading.rows if row.name in areas), key=lambda row: -areas[row.name][0]
    )
    single = [row for row in rows if row.adversary == "server"]
    summed = [row for row in rows if row.adversary != "server"]
    if not single or not summed:
        return None
    best = single[0], summed[0]
    points = () if leading.within else POINTS
    at = next((at for at in points if all(_resolved(row, at) for row in best)), None)
    uploads, sums = (
        Side(
            view=view,
            row=row,
            area=areas[row.name][0],
            interval=areas[row.name][1],
            at=at,
            rate=_resolved(row, at) if at else None,
        )
        for view, row in zip(("every upload", "the sum alone"), best, strict=True)
    )
    return Hidden(
        uploads=uploads,
        sums=sums,
        sizes=f"{count(best[0].n_members)} records that a client holds, "
        f"{count(best[0].n_nonmembers)} that nobody does",
        at=point(float(at)) if at else None,
        cost=_cost(uploads, sums),
        whose=WHOSE + (f" {PARTIAL}" if _partial(results.study) else ""),
        level=f"{100 * confidence(results):g} %",
        within=bool(leading.within),
    )


def _areas(leading: Lead) -> dict[str, tuple[float, Interval]]:
    """Each attack's AUC and its interval, within labels where the verdict is."""
    if not leading.within:
        return {row.name: (row.auc, row.auc_interval) for row in leading.rows}
    return {
        name: (found.within_auc, found.within_interval)
        for name, found in leading.within.items()
        if found.within_auc is not None and found.within_interval is not None
    }


def sentence(found: Hidden) -> str:
    """All of it in a line, for a terminal."""
    parts = [
        f"{side.view} {side.row.name} AUC {side.auc}"
        + (f", {side.found} found at {found.at}" if found.at else "")
        for side in found.sides
    ]
    among = ", among records of the same label" if found.within else ""
    return f"is it anyone’s record{among}? {'; '.join(parts)}. {found.cost}"


def _cost(uploads: Side, sums: Side) -> str:
    lost = uploads.area - sums.area
    points = uploads.rate.value - sums.rate.value if uploads.rate and sums.rate else 0.0
    auc = fixed((abs(lost),), 3)[0]
    rates = f"{percent(abs(points))} points of the members found"
    if lost > 0:
        words = f"The view costs the adversary {auc} of AUC"
        if points:
            words += f" and {rates}" if points > 0 else f", and gains her {rates}"
    else:
        words = f"The view costs the adversary nothing: the sum gives {auc} of AUC more"
        if points:
            words += f" and {rates}" if points < 0 else f", but {rates} fewer"
        words += ", and a server who sees every upload can add them up"
    if _overlap(uploads.interval, sums.interval):
        words += "; the intervals of the two AUCs overlap"
    return words + "."


def _overlap(one: Interval, other: Interval) -> bool:
    (low, high), (least, most) = one, other
    return low <= most and least <= high


def _resolved(row: AttackRow, at: str) -> Rate | None:
    found = rate_at(row, at)
    return found if found is not None and found.resolved else None


def _partial(study: dict[str, Any]) -> bool:
    return float((study.get("federation") or {}).get("participation", 1.0)) < 1.0
