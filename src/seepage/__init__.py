"""Measure what a model leaks about its training data while it is trained."""

__version__ = "0.1.0"
