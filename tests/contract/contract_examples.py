"""What parts are tried on. A new part is tested without being named here, unless it needs company.

A reward must cope with one of the families of contents at least. Data sets, models, samplers, updaters and
evaluators only make sense together: SETUPS says which; what is too heavy for that is in ELSEWHERE.
"""

FIELDS = {
    ("reward", "not-among"): {"categories": ["Toronto", "Vancouver"]},
    ("reward", "category-worth"): {"worth": {"Toronto": -1.0, "Ottawa": 2.5}},
}
"""Values for required fields, by kind and name; for all others they are made up."""

TEXTS = [
    "Ada Lovelace was born in London, in 1815.",
    "I do not know.",
    "",
    "Ada",
    "ada lovelace was, BORN in London!",
    "東京 — naïve \n answer",
]
CONTENTS = {
    "texts": TEXTS,
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

ELSEWHERE = {"llm": "tests/unit/llm"}
"""The plugins whose setups need a real network, and where those are tested instead."""

DOWNLOADED = {"tofu"}
"""The data sets that are not shipped."""
