"""The shape of ``results.json``, schema version 1.

Other programs read this file, so a change of meaning raises ``SCHEMA`` and is told in the
changelog. ``docs/reference/results.schema.json`` is generated from these classes.
"""

from seepage.results.audit import SCHEMA, Results, RoundUtility, Seconds, Utility
from seepage.results.claim import Accounting, Claim, NoiseCheck, NoiseRow, OneRun
from seepage.results.labels import LabelRow, Labels
from seepage.results.rows import (
    AttackRow,
    Best,
    Blind,
    BlindRow,
    Interval,
    Rate,
    Rate01,
)
from seepage.results.suite import Failure, SuiteResults, SuiteRow
from seepage.results.sweep import (
    FrontPoint,
    SweepFront,
    SweepPoint,
    SweepRate,
    SweepResults,
)

__all__ = [
    "SCHEMA",
    "Accounting",
    "AttackRow",
    "Best",
    "Blind",
    "BlindRow",
    "Claim",
    "Failure",
    "FrontPoint",
    "Interval",
    "LabelRow",
    "Labels",
    "NoiseCheck",
    "NoiseRow",
    "OneRun",
    "Rate",
    "Rate01",
    "Results",
    "RoundUtility",
    "Seconds",
    "SuiteResults",
    "SuiteRow",
    "SweepFront",
    "SweepPoint",
    "SweepRate",
    "SweepResults",
    "Utility",
]
