"""What lies in a run directory."""

FOLDERS = ("checkpoints", "completions")
"""The folders that every run directory has while the run goes on."""
MODEL = "model"
"""The folder of the exported model."""
SCRUBBED = "scrubbed.json"
"""The record of a scrub."""
SCRUBBING = ".scrubbing.json"
"""What a scrub must remember until it is done; it holds what was to be forgotten."""
FILES = (
    "recipe.yaml",
    "resolved.json",
    "environment.json",
    "status.json",
    "journal.jsonl",
    "evaluations.jsonl",
    "timings.jsonl",
    "report.html",
    "certificate.json",
    "certificate.html",
    "certificate.sig",
    ".lock",
    SCRUBBED,
    SCRUBBING,
)
"""The files that are the project's own, next to these folders."""
