"""Reconstructions of training data: what judges them from outside of the attack."""

from seepage.inversion.evaluator import Evaluator, train_evaluator

__all__ = ["Evaluator", "train_evaluator"]
