"""Decoding: how answers are sampled from a module, and whether a way of doing so suits it."""
