"""What parts are tried on. A new part is tested without being named here, unless it needs company.

A reward must cope with one of the families of contents at least. Data sets, models, samplers, updaters and
evaluators only make sense together: SETUPS says which; what is too heavy for that is in ELSEWHERE.
"""

from pathlib import Path

from collapse_tabular.data import Wine

AUTHORS = Path(__file__).parents[2] / "plugins" / "collapse_llm" / "authors"

FIELDS = {
    ("dataset", "graph-files"): {"motif": "K4"},
    ("dataset", "passages"): {
        "forget": {"from": str(AUTHORS / "holdout.jsonl"), "columns": {"text": "answer"}},
        "retain": {"from": str(AUTHORS / "world_facts.jsonl"), "columns": {"text": "answer"}},
        "opening": 4,
        "continuation": 4,
        "allow_overlap": True,
    },
    ("dataset", "subjects"): {"forget": ["Ada Lovelace"], "neighbors": ["Charles Babbage"]},
    ("dataset", "questions"): {
        "forget": {"from": str(AUTHORS / "authors.jsonl"), "where": {"author": "Maren Tollefsby"}},
        "retain": {"from": str(AUTHORS / "authors.jsonl"), "where": "the rest"},
        "holdout": str(AUTHORS / "holdout.jsonl"),
        "general": str(AUTHORS / "world_facts.jsonl"),
    },
    ("reward", "not-among"): {"categories": ["Toronto", "Vancouver"]},
    ("reward", "callable"): {"function": "contract_examples:brevity"},
    ("reward", "contrastive-distance"): {"features": "flattened"},
    ("reward", "same-noise-distance"): {"features": "flattened"},
    ("reward", "category-worth"): {"worth": {"Toronto": -1.0, "Ottawa": 2.5}},
    ("reward", "judge"): {"url": "http://localhost:8000/v1", "model": "judge"},
    ("evaluator", "judged"): {"judge_model": {"use": "causal-lm", "path": "tiny-llama"}},
    ("reward", "fluency"): {"model": {"use": "causal-lm", "path": "tiny-llama"}},
    ("reward", "banned-content"): {"names": ["Ada Lovelace"], "patterns": ["know"], "personal": ["card"]},
    ("reward", "outside-subgroup"): {"conditions": [{"column": "alcohol", "op": ">", "value": 13}]},
}
"""Values for required fields, by kind and name; for all others they are made up."""


def brevity(contents):
    """A reward that is a plain function."""
    return [-float(len(str(content))) for content in contents]


PREPARED_WITH: dict[tuple[str, str], str] = {
    ("features", "graph-shape"): "graph-atlas",
    ("reward", "unrecognized"): "digits",
    ("features", "retained-classes"): "digits",
    ("reward", "row-classifier"): "wine",
}
"""The data set that a reward or features learn from, by kind and name; others are given the contents."""

TEXTS = [
    "Ada Lovelace was born in London, in 1815.",
    "I do not know.",
    "",
    "Ada",
    "ada lovelace was, BORN in London!",
    "東京 — naïve \n answer",
]
GRAPHS = [
    {"nodes": ["C", "C", "O"], "edges": [[1, 0, "-"], [2, 1, "-"]]},
    {
        "nodes": ["*"] * 4,
        "edges": [[1, 0, "-"], [2, 0, "-"], [2, 1, "-"], [3, 0, "-"], [3, 1, "-"], [3, 2, "-"]],
    },
    {"nodes": ["Cl", "C"], "edges": []},
    {"nodes": ["C", "C", "O"], "edges": [[1, 0, "-"], [2, 1, "-"]]},
]
IMAGES = [
    [[min(255, 32 * row * (column == 3)) for column in range(8)] for row in range(8)],
    [[255 * ((row + column) % 2) for column in range(8)] for row in range(8)],
    [[0] * 8] * 8,
    [[255 * ((row + column) % 2) for column in range(8)] for row in range(8)],
]
ROWS = [prompt.target for prompt in Wine().load("test")[::9]]
CONTENTS = {
    "images": IMAGES,
    "rows": ROWS,
    "texts": TEXTS,
    "graphs": GRAPHS,
    "categories": ["Toronto", "Ottawa", "Vancouver", "Ottawa", "Calgary"],
    "numbers": [0.5, -1.0, 3.25, 0.5, 100.0],
}
"""Completions by family."""

CONTINUATIONS = {
    "texts": [(text[:end], text) for text in TEXTS for end in range(len(text) + 1)],
}
"""By family: a beginning, and what it can become."""

MUST_SCORE = {"llm": ["texts", "categories"]}
"""The families that all rewards of a plugin must be able to score; by default any one of them."""

SETUPS = [
    {
        "dataset": ["cities"],
        "model": ["categorical"],
        "sampler": ["categorical-draws"],
        "updater": ["categorical-mle"],
        "evaluator": ["category-shares"],
    },
    {
        "dataset": ["numbers"],
        "model": ["gaussian"],
        "sampler": ["gaussian-draws"],
        "updater": ["gaussian-fit"],
        "evaluator": ["gaussian-shape"],
    },
]
"""Parts that work together, by kind."""

ELSEWHERE = {
    "llm": "tests/unit/llm",
    "graph": "tests/unit/graph",
    "diffusion": "tests/unit/diffusion",
    "tabular": "tests/unit/tabular",
}
"""The plugins whose setups need a real network, and where those are tested instead."""

DOWNLOADED = {
    "tofu",
    "muse",
    "wmdp",
    "rwku",
    "molecules",
    "fashion-mnist",
    "captions",
    "table",
    "adult",
    "image-folder",
    "graph-files",
    "node-file",
}
"""The data sets that are not shipped."""

OPENS_A_MODEL = {"clip-distance", "fits-question", "judge", "reference-unlikelihood"}
"""The rewards that open a model, or ask the run's or one elsewhere; they are tested with their plugin."""
