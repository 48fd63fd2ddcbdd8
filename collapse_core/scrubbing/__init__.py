"""Removing from a run what holds what was to be forgotten, and proving that nothing of it is left."""
