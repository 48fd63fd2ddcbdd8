"""Measuring a model, during a run and after it."""
