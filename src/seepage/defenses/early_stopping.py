"""Train for fewer epochs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from seepage.protocols import Defense, Fitted
from seepage.records import UserError

if TYPE_CHECKING:
    from seepage.records import IntArray
    from seepage.training.trainer import Trainer


def early_stopping(*, epochs: int) -> Defense:
    """Stop training after ``epochs`` epochs.

    Draws are named by epoch, so the result is the undefended model as it was after that epoch, bit
    for bit, wherever the step size of an epoch does not depend on how many there are to be. A
    cosine schedule is run through in the shorter time.

    Args:
        epochs: Epochs to train for, from 1 to those of the study (``federation.local_epochs``).

    Raises:
        UserError: ``epochs`` is not a whole number >= 1; or, in training, more than the study has.

    References:
        | Overconfidence is a Dangerous Thing (Chen & Pattabiraman, 2024),
          https://arxiv.org/abs/2307.01610, where it is a competing defense
        | Systematic Evaluation of Privacy Risks of Machine Learning Models (Song & Mittal, 2021)
        | https://arxiv.org/abs/2003.10595

    The number of epochs is the defender's choice, made before: nothing is looked at to stop. Keep
    the best epoch by validation with ``federation.keep``.
    """
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
        raise UserError(f"early_stopping needs a whole number of epochs >= 1, got {epochs!r}")
    return Defense(fit=partial(_fit, epochs))


def _fit(epochs: int, trainer: Trainer, number: int, rows: IntArray) -> Fitted:
    if epochs > trainer.settings.epochs:
        raise UserError(
            f"early_stopping.epochs must be at most the study's federation.local_epochs, "
            f"{trainer.settings.epochs}, got {epochs}"
        )
    shortened = trainer.train({number: rows}, role="reference", settings={"epochs": epochs})
    return Fitted(state=shortened[number])
