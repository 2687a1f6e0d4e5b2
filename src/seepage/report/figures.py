"""Which figures a report has, each with its words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seepage.report import charts, curves
from seepage.report.figure import Figure
from seepage.report.models_chart import models_figure
from seepage.report.wording import BLOCK_NAMES, percent, sizes, target_name, with_interval

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from seepage.report.reading import Lead
    from seepage.results import Results

DRAWN = 12
"""Attacks that the ROC has room for."""


def all_figures(
    results: Results, lead: Lead, scores: pd.DataFrame, signals: xr.Dataset | None
) -> list[Figure]:
    """The figures that the material allows, in the order of the page."""
    possible = [
        _roc(lead, scores),
        _score_histogram(lead, scores),
        models_figure(results, lead) if lead.unit == "model" else _clients(results, lead),
        _loss_histogram(lead, scores, signals),
        _utility(results),
    ]
    return [figure for figure in possible if figure is not None]


def _roc(lead: Lead, scores: pd.DataFrame) -> Figure | None:
    names = [row.name for row in lead.rows]
    names = list(dict.fromkeys([lead.best.name, *names]))[:DRAWN]
    table = curves.roc_table(scores, names, lead.target, lead.block)
    if table.empty:
        return None
    best = lead.best
    return Figure(
        name="roc",
        title="Members found, against false alarms",
        alt=(
            f"ROC curves of {len(names)} attacks against {target_name(lead.target, lead.unit)}, "
            f"both axes logarithmic. That of {best.name} has an area of "
            f"{with_interval(best.auc, best.auc_interval)}; the table gives all numbers."
        ),
        caption=(
            f"ROC of {_which(lead, names)} on {target_name(lead.target, lead.unit)}: "
            f"{sizes(best, lead.unit)} ({BLOCK_NAMES[lead.unit, lead.block]}). Dotted: chance. "
            "Shaded: rates finer than one non-member, where a curve says nothing."
        ),
        chart=charts.roc_chart(table, lead.distinct),
        hover=charts.roc_hover(table),
    )


def _which(lead: Lead, names: list[str]) -> str:
    left = len(lead.rows) - len(names)
    return f"the {len(names)} strongest of {len(lead.rows)} attacks" if left else "every attack"


def _score_histogram(lead: Lead, scores: pd.DataFrame) -> Figure | None:
    rows = curves.part(scores, lead.best.name, lead.target)
    if rows.empty:
        return None
    groups = curves.named(curves.group(rows), lead.unit)
    cells = curves.histogram(rows["score"].to_numpy(float), groups, beyond=0.002)
    return Figure(
        name="scores",
        title="What the best attack sees",
        alt=(
            f"Histogram of the scores of {lead.best.name} for members and non-members; the area "
            f"under its ROC is {with_interval(lead.best.auc, lead.best.auc_interval)}."
        ),
        caption=(
            f"Scores of {lead.best.name}, the share of each group in 40 cells; the outermost take "
            "what lies beyond. The further members lie to the right of the others, the better the "
            "attack tells them apart."
        ),
        chart=charts.histogram_chart(cells, f"score of {lead.best.name}"),
    )


def _clients(results: Results, lead: Lead) -> Figure | None:
    rows = [
        row for row in results.attacks if row.name == lead.best.name and row.block == lead.block
    ]
    single = [row for row in rows if isinstance(row.target, int)]
    clients = sorted(single, key=lambda row: int(row.target))
    if len(clients) < 2:
        return None
    pooled = [row for row in rows if row.target == "all"]
    aucs = [row.auc for row in clients]
    return Figure(
        name="clients",
        title="Every client on its own",
        alt=(
            f"AUC of {lead.best.name} against each of {len(clients)} clients, from "
            f"{min(aucs):.3f} to {max(aucs):.3f}."
        ),
        caption=(
            f"AUC of {lead.best.name} for each client’s members, with its interval "
            "(not corrected for the number of clients). Dotted: chance."
        ),
        chart=charts.clients_chart([*clients, *pooled]),
    )


def _loss_histogram(lead: Lead, scores: pd.DataFrame, signals: xr.Dataset | None) -> Figure | None:
    if signals is None:
        return None
    found = curves.losses(signals, scores, lead.target)
    if found is None:
        return None
    models = lead.unit == "model"
    values, groups = found[0], curves.named(found[1], lead.unit)
    under = (
        "the model" if models else "the model that the target sent back in the last observed round"
    )
    when = "" if models else " in the last observed round"
    return Figure(
        name="losses",
        title="Loss under the model" if models else "Loss under the client’s own model",
        alt=f"Histogram of the loss{when}, for members and non-members.",
        caption=(
            f"Cross-entropy of each candidate under {under}. "
            "The last cell takes all that lies beyond it."
        ),
        chart=charts.histogram_chart(curves.histogram(values, groups, beyond=0.02), "loss (nat)"),
    )


def _utility(results: Results) -> Figure | None:
    if results.utility is None or len(results.utility.per_round) < 2:
        return None
    end = results.utility
    return Figure(
        name="utility",
        title="What the federation learned",
        alt=(
            f"Accuracy of the global model over the observed rounds, ending at "
            f"{percent(end.train_accuracy)} % on training and {percent(end.test_accuracy)} % on "
            "test records."
        ),
        caption="Accuracy of the global model after each observed round. The gap between the two "
        "curves is what most attacks live on.",
        chart=charts.utility_chart(end.per_round),
    )
