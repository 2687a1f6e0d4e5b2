"""A federation: clients train, a server averages, everything that was sent can be heard."""

from seepage.federation.evaluation import Evaluation, evaluate
from seepage.federation.rounds import check_sent, run
from seepage.federation.schedule import SCHEDULES, Schedule, build_schedule
from seepage.federation.server import participants, weights
from seepage.federation.settings import Federation, settings_of
from seepage.states import aggregate

__all__ = [
    "SCHEDULES",
    "Evaluation",
    "Federation",
    "Schedule",
    "aggregate",
    "build_schedule",
    "check_sent",
    "evaluate",
    "participants",
    "run",
    "settings_of",
    "weights",
]
