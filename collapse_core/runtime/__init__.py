"""The machine that a run works on: files, cache, progress, processes."""
