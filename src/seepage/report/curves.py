"""The arrays behind the charts: ROC steps, histograms, the most exposed records. No drawing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from seepage.records import ANYONE, HELD_OUT, Block, FloatArray, UserError
from seepage.report.wording import Unit

if TYPE_CHECKING:
    import xarray as xr

COLUMNS = ("sample", "attack", "target", "score", "owner")
FLOOR = 1e-4
"""Where both axes of the log-log ROC begin."""

MEMBERS, OUTSIDE, OTHERS = "members", "held out", "other clients"
LEFT_OUT = "non-members"
"""What :data:`OUTSIDE` is called among many models, where each record trains half of them."""


def check_scores(scores: pd.DataFrame) -> None:
    """Refuse a table of scores that cannot be drawn.

    Raises:
        UserError: A column is missing or a score is not a number.
    """
    missing = [name for name in COLUMNS if name not in scores.columns]
    if missing:
        raise UserError(
            f"scores need the columns {', '.join(COLUMNS)}; missing here: {', '.join(missing)}."
        )
    bad = scores.loc[scores["score"].isna()]
    if len(bad):
        first = bad.iloc[0]
        raise UserError(
            f"scores must be numbers, but sample {first['sample']} has none for attack "
            f"{first['attack']} and target {first['target']}. Score the samples again."
        )


def group(scores: pd.DataFrame) -> np.ndarray:
    """Which of the three groups each row belongs to, seen from the row's target."""
    owner, target = scores["owner"].to_numpy(), scores["target"].to_numpy()
    mine = np.where(target == ANYONE, owner != HELD_OUT, owner == target)
    return np.where(mine, MEMBERS, np.where(owner == HELD_OUT, OUTSIDE, OTHERS))


def named(groups: np.ndarray, unit: Unit) -> np.ndarray:
    """The groups as a figure calls them."""
    return groups if unit == "client" else np.where(groups == OUTSIDE, LEFT_OUT, groups)


def part(scores: pd.DataFrame, attack: str, target: int | str) -> pd.DataFrame:
    """The rows of one attack against one target, against every target, pooled, or on ``any``."""
    rows = scores[scores["attack"] == attack]
    number = ANYONE if target == "any" else target
    return pd.DataFrame(rows if target == "all" else rows[rows["target"] == number])


def two_sides(rows: pd.DataFrame, block: Block) -> tuple[FloatArray, FloatArray]:
    """Scores of the members and of the block's non-members."""
    groups = group(rows)
    values = rows["score"].to_numpy(float)
    outside = {"others": [OTHERS], "mix": [OUTSIDE, OTHERS]}.get(block, [OUTSIDE])
    return values[groups == MEMBERS], values[np.isin(groups, outside)]


def placed_sides(rows: pd.DataFrame, block: Block) -> tuple[FloatArray, FloatArray]:
    """The same, each score replaced by its placement among its own target's non-members.

    A placement is the share of those below a score, ties counted half. For one target the curve
    is that of the scores; pooled targets become comparable, as they are in the results.
    """
    members, outside = [], []
    for _, own in rows.groupby("target"):
        sides = two_sides(pd.DataFrame(own), block)
        ranked = np.sort(sides[1])
        for values, kept in zip(sides, (members, outside), strict=True):
            below, upto = (np.searchsorted(ranked, values, side=s) for s in ("left", "right"))
            kept.append((below + upto) / (2 * max(len(ranked), 1)))
    return np.concatenate(members), np.concatenate(outside)


def roc_steps(members: FloatArray, nonmembers: FloatArray) -> tuple[FloatArray, FloatArray]:
    r"""The ROC, one point for each false-positive rate that some threshold reaches.

    At each rate stands the highest true-positive rate over thresholds :math:`\tau`, where a record
    is called a member if its score is at least :math:`\tau`. Tied scores pass together.

    Returns:
        False- and true-positive rates; the first ascends strictly from 0 to 1.
    """
    thresholds = np.unique(np.concatenate([members, nonmembers]))[::-1]
    passed = [len(x) - np.searchsorted(np.sort(x), thresholds) for x in (nonmembers, members)]
    fpr = np.concatenate([[0.0], passed[0] / len(nonmembers)])
    tpr = np.concatenate([[0.0], passed[1] / len(members)])
    last = np.append(np.diff(fpr) > 0, True)
    return fpr[last], tpr[last]


def thin(
    fpr: FloatArray, tpr: FloatArray, points: int = 100, floor: float = FLOOR
) -> tuple[FloatArray, FloatArray]:
    """Points of a step curve that matter on a logarithmic axis, each one kept as it is.

    Of every of ``points`` cells, equal on the logarithmic axis from ``floor`` to 1, the last
    point stays; so a curve drawn in steps through them is nowhere above the whole one.
    """
    grid = np.geomspace(floor, 1.0, points)
    kept = np.unique(np.searchsorted(fpr, grid * (1 + 1e-12), side="right") - 1)
    return fpr[kept], tpr[kept]


def roc_table(
    scores: pd.DataFrame, attacks: list[str], target: int | str, block: Block
) -> pd.DataFrame:
    """The thinned curves of all attacks: columns ``attack, fpr, tpr, x, y`` (drawn in x, y)."""
    tables = []
    for attack in attacks:
        members, nonmembers = placed_sides(part(scores, attack, target), block)
        if not len(members) or not len(nonmembers):
            continue
        fpr, tpr = thin(*roc_steps(members, nonmembers))
        drawn = {"x": np.maximum(fpr, FLOOR), "y": np.maximum(tpr, FLOOR)}
        tables.append(pd.DataFrame({"attack": attack, "fpr": fpr, "tpr": tpr, **drawn}))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def histogram(
    values: FloatArray, groups: np.ndarray, *, beyond: float, bins: int = 40
) -> pd.DataFrame:
    """The share of each group in each of ``bins`` equal cells.

    The cells leave a share ``beyond`` of all values out on either side, and the outermost cells
    take what lies there, so that each group's shares sum to 1.

    Returns:
        Columns ``group, start, end, share, count``.
    """
    low, high = np.quantile(values, [beyond, 1.0 - beyond], method="nearest")
    if not (np.isfinite(low) and np.isfinite(high)):
        finite = values[np.isfinite(values)]
        low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 0.0)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, bins + 1)
    tables = []
    for name in (MEMBERS, OUTSIDE, LEFT_OUT, OTHERS):
        inside = np.clip(values[groups == name], low, high)
        if len(inside):
            counts, _ = np.histogram(inside, edges)
            cells = {"group": name, "start": edges[:-1], "end": edges[1:], "count": counts}
            tables.append(pd.DataFrame({**cells, "share": counts / len(inside)}))
    return pd.concat(tables, ignore_index=True)


def losses(
    signals: xr.Dataset, scores: pd.DataFrame, target: int | str
) -> tuple[FloatArray, np.ndarray] | None:
    """Losses under the targets' own models in the last observed round, with their groups.

    Args:
        signals: Holds ``loss`` over ``sample``, ``client`` or ``model`` and, it may be, ``round``
            and ``query`` (the first is the record itself).
        scores: Names the owner of every sample, for every target.
        target: One target, or ``all``.

    Returns:
        Losses and groups, or None where the signals hold no such loss. Clients that were
        not drawn in that round have no loss and are left out.
    """
    if "loss" not in signals:
        return None
    loss = signals["loss"]
    whose = "model" if "model" in loss.dims else "client"
    if not {"sample", whose} <= set(loss.dims):
        return None
    loss = loss.isel(round=-1) if "round" in loss.dims else loss
    loss = loss.isel(query=0) if "query" in loss.dims else loss
    pairs = part(scores, str(scores["attack"].iloc[0]), target)
    columns = [
        rows.assign(loss=loss.sel({whose: k}).to_series().reindex(rows["sample"]).to_numpy())
        for k, rows in pairs.groupby("target")
        if k in loss[whose].to_numpy()
    ]
    if not columns:
        return None
    table = pd.concat(columns, ignore_index=True).dropna()
    return (table["loss"].to_numpy(float), group(table)) if len(table) else None


def exposure(scores: pd.DataFrame, attack: str, target: int | str, block: Block) -> pd.DataFrame:
    """How far each member stands out among its owner's non-members, the most exposed first.

    A member's rank is the number of non-members whose score for the same target is as high or
    higher. Members of equal rank are ordered by how many deviations of the non-members' scores
    lie between their mean and the member. A record that trained several models stands with the
    mean over them.

    Returns:
        Columns ``sample, owner, score, above, nonmembers, excess, percentile, targets``; ``above``
        is that number, ``percentile`` the per cent of non-members with a lower score, ``targets``
        the number of targets that trained on it and ``owner`` the first of them.
    """
    tables = []
    for _, rows in part(scores, attack, target).groupby("target"):
        members = pd.DataFrame(rows[group(pd.DataFrame(rows)) == MEMBERS])
        nonmembers = np.sort(two_sides(rows, block)[1])
        if not len(members) or not len(nonmembers):
            continue
        values = members["score"].to_numpy(float)
        above = len(nonmembers) - np.searchsorted(nonmembers, values, side="left")
        spread = float(nonmembers.std()) or 1.0
        table = members[["sample", "owner", "score"]].assign(
            above=above,
            nonmembers=len(nonmembers),
            excess=(values - nonmembers.mean()) / spread,
            share=above / len(nonmembers),
        )
        tables.append(table)
    if not tables:
        return pd.DataFrame()
    whole = pd.concat(tables, ignore_index=True)
    means = dict.fromkeys(("score", "above", "nonmembers", "excess", "share"), "mean")
    each = whole.groupby("sample", as_index=False).agg({"owner": "first", **means})
    each["targets"] = whole.groupby("sample").size().to_numpy()
    each["percentile"] = 100.0 * (1.0 - each["share"])
    ordered = each.sort_values(["share", "excess", "sample"], ascending=[True, False, True])
    return ordered.drop(columns="share").reset_index(drop=True)
