"""A sweep as tables for other programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from seepage.report.sweep_points import attack_names, strengths

if TYPE_CHECKING:
    import pandas as pd

    from seepage.results import SweepPoint, SweepRate, SweepResults


def sweep_frame(results: SweepResults) -> pd.DataFrame:
    """One row a run; the columns of ``sweep.csv``.

    Shares are in [0, 1]. A swept key has a column of its own, named as the key is, with values
    that are not plain as JSON. An attack has columns ``NAME_auc``, ``NAME_tpr`` and so on. A run
    that failed has its reason in ``failure`` and nothing else.
    """
    import pandas as pd

    keys = list(dict.fromkeys(key for point in results.points for key in point.settings))
    attacks = attack_names(results)
    names = {
        (run.series, run.strength): each.name for each in strengths(results) for run in each.runs
    }
    rows = [
        _run(point, names[point.series, point.strength], keys, attacks, results.at)
        for point in results.points
    ]
    rows += [{"series": f.defense, "name": f.label, "failure": f.reason} for f in results.failures]
    return pd.DataFrame(rows).convert_dtypes()


def _run(
    point: SweepPoint, name: str, keys: list[str], attacks: list[str], at: str
) -> dict[str, Any]:
    rates = {rate.name: rate for rate in point.attacks}
    row: dict[str, Any] = {
        "series": point.series,
        "name": name,
        "strength": point.strength,
        "seed": point.seed,
        "settings": json.dumps(point.settings, sort_keys=True),
        **{key: _plain(point.settings.get(key)) for key in keys},
        "train_accuracy": point.train_accuracy,
        "test_accuracy": point.test_accuracy,
        "test_error": point.error,
        "at": float(at),
    }
    for attack in attacks:
        row |= _columns(attack, rates.get(attack))
    return row | {
        "label_auc": point.label_auc,
        "label_tpr": point.label_tpr,
        "claimed_epsilon": point.claimed_epsilon,
        "blind_ok": point.blind_ok,
        "seconds": point.seconds,
        "fingerprint": point.fingerprint,
        "folder": point.folder,
        "failure": None,
    }


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, str | int | float) else json.dumps(value)


def _columns(attack: str, rate: SweepRate | None) -> dict[str, Any]:
    return {
        f"{attack}_auc": rate and rate.auc,
        f"{attack}_auc_low": rate and rate.auc_interval[0],
        f"{attack}_auc_high": rate and rate.auc_interval[1],
        f"{attack}_within_auc": rate and rate.within_auc,
        f"{attack}_tpr": rate and rate.tpr.value,
        f"{attack}_tpr_low": rate and rate.tpr.interval[0],
        f"{attack}_tpr_high": rate and rate.tpr.interval[1],
        f"{attack}_tpr_resolved": rate and rate.tpr.resolved,
        f"{attack}_matched_tpr": rate and rate.matched_tpr,
    }


def fronts_frame(results: SweepResults) -> pd.DataFrame:
    """One row a series and attack; the columns of ``fronts.csv``.

    ``points`` is JSON: a list of ``{"settings", "error", "tpr"}`` by ascending error, means over
    the seeds.
    """
    import pandas as pd

    columns = ["series", "attack", "hypervolume", "deviation", "points"]
    rows = [
        {
            "series": front.series,
            "attack": front.attack,
            "hypervolume": front.hypervolume,
            "deviation": front.deviation,
            "points": json.dumps([point.model_dump() for point in front.points], sort_keys=True),
        }
        for front in results.fronts
    ]
    return pd.DataFrame(rows, columns=pd.Index(columns)).convert_dtypes()
