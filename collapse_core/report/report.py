"""Rows and journal -> one self-contained HTML file."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from collapse_core.contracts.types import Metric
from collapse_core.report.charts import panels
from collapse_core.report.gallery import Item, Look, exhibit, look_of, spread_out
from collapse_core.report.legend import legend
from collapse_core.report.page import fill, write_page
from collapse_core.report.samples import last_kept, samples
from collapse_core.report.verdict import verdict
from collapse_core.results.copies import copies_left
from collapse_core.results.formatting import interval_of
from collapse_core.results.results import Results, load_results
from collapse_core.results.table import metric_notes, metric_rows

NUM_EXAMPLES, MOST_EXAMPLES = 5, 50
"""How many prompts are shown with their answers, and how many more when they are unfolded."""
NUM_PICTURES = 24
"""How many pictures of a split are shown of each model."""
PACKAGES = (
    "collapse-unlearning",
    "torch",
    "transformers",
    "tokenizers",
    "peft",
    "accelerate",
    "safetensors",
    "diffusers",
    "torch_geometric",
    "networkx",
    "scikit-learn",
    "pandas",
    "numpy",
    "rouge_score",
)
"""The packages that results depend on most; the others are folded away."""


PUBLIC = ("true forget answers", "code", "python", "platform", "hardware", "packages", "plugin ")
"""How the facts on where a run comes from begin that hold no text of the run, no path and no command."""


def write_report(runs: Sequence[Path], to: Path, *, texts: bool = True) -> None:
    """Write the report on one run, or on several side by side.

    The file asks for nothing from anywhere: style, charts and pictures are inside it, there is no script, and
    everything a model or a user wrote is escaped.

    Args:
        runs: Run directories, finished or not.
        to: The HTML file, which is replaced.
        texts: Whether it shows answers, completions, recipes, paths and commands.

    Raises:
        CollapseError: A directory holds no run.
    """
    write_page(render([load_results(run) for run in runs], texts=texts), to)


def render(runs: Sequence[Results], *, texts: bool = True) -> str:
    """The report as HTML."""
    sections = [section(run, sampled=texts) for run in runs]
    return fill(
        "report.html",
        title=runs[0].name if len(runs) == 1 else f"{len(runs)} runs side by side",
        level=2 if len(runs) == 1 else 3,
        **measured(runs),
        panels=panels(runs),
        runs=sections if texts else [redacted(one) for one in sections],
    )


def measured(runs: Sequence[Results]) -> dict[str, Any]:
    """What the templates show in the table of metrics."""
    rows = metric_rows(*runs)
    widths = [len(run.headings()) for run in runs]
    return {
        "columns": [{"label": _label(run), "models": run.headings()} for run in runs],
        "firsts": {sum(widths[:place]) for place in range(len(runs))} if len(runs) > 1 else set(),
        "rows": rows,
        "intervals": any(isinstance(c, Metric) and interval_of(c) for row in rows for c in row.cells),
        "notes": metric_notes(*runs),
        "legend": legend([row.name for row in rows], *runs),
    }


def section(run: Results, *, sampled: bool = True) -> dict[str, Any]:
    """What the templates show of one run; `sampled` is whether they show some of its completions."""
    look = look_of(run.recipe)
    examples = [_examples(run, split, look) for split in run.splits()]
    return {
        "label": _label(run),
        "state": str(run.status.get("status", "not started")).capitalize(),
        "progress": _progress(run),
        "error": run.status.get("error", ""),
        "scrubbed": run.scrub_note(),
        "done": _done(run.recipe),
        "overlap": str(run.environment.get("overlap", "")),
        "knows_answers": str(run.environment.get("true_answers", {}).get("loop", "")).startswith("read"),
        "keeps_text": run.recipe.get("keep_text", True),
        "verdict": verdict(run),
        "copies": [one for one in copies_left(run) if one.where != "report.html"],
        "latest": next((run.heading(m) for m in run.models() if m in ("after", "during")), ""),
        "examples": examples,
        "learned": [] if examples else last_kept(run, look, NUM_EXAMPLES),
        "samples": samples(run, look) if sampled else [],
        "times": _times(run),
        "provenance": list(_provenance(run)),
        "documents": list(_documents(run)),
    }


def redacted(section: Mapping[str, Any]) -> dict[str, Any]:
    """What the templates show of a run, without a text of its data, its model, or its recipe."""
    facts = [fact for fact in section["provenance"] if fact[0].startswith(PUBLIC)]
    hidden = dict.fromkeys(("examples", "learned", "samples", "documents"), ())
    return {**section, **hidden, "error": section["error"] and "not shown", "provenance": facts}


def _label(run: Results) -> str:
    return f"{run.name} / {run.directory.resolve().name}"


def _progress(run: Results) -> str:
    done = run.journal[-1]["iteration"] + 1 if run.journal else 0
    parts = [f"{done} of {run.recipe.get('iterations', '?')} iterations"]
    parts += [why] if (why := run.stopped_by()) else []
    if run.status.get("status") == "running":
        parts.append(f"last sign of life {run.status.get('heartbeat')} ({run.status.get('phase')})")
    return ", ".join(parts)


def _done(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """What the sentence on what was done is made of."""
    parts = ("data", "model", "sampler", "filter", "updater")
    return {part: recipe.get(part, {}).get("use", "?") for part in parts} | {
        "num": recipe.get("completions_per_prompt", "?"),
        "prompts": recipe.get("prompts_per_iteration", "all"),
        "retains": recipe.get("retain_per_iteration") != 0,
        "rewards": [{"use": r.get("use"), "weight": r.get("weight", 1)} for r in recipe.get("rewards", [])],
    }


def _examples(run: Results, split: str, look: Look) -> dict[str, Any]:
    """What is drawn side by side, model by model, and what is text prompt by prompt."""
    noted = {run.heading(model): run.examples(model, split) for model in run.models()}
    drawn = {name: [e for e in found if look(e.get("answer"))] for name, found in noted.items()}
    groups = {name: [_item(e, "answer") for e in found] for name, found in drawn.items()}
    real = [_item(e, "target") for e in next(iter(drawn.values()), []) if look(e.get("target"))]
    pairs = [pair for pair in run.pairs(split) if not look(pair[0].get("answer"))]
    shown = [
        {
            "prompt": before.get("prompt", ""),
            "target": before.get("target"),
            "before": _answer(before),
            "after": after and _answer(after),
        }
        for before, after in pairs[:MOST_EXAMPLES]
    ]
    return {
        "name": split,
        "total": len(pairs),
        "pairs": shown[:NUM_EXAMPLES],
        "more": shown[NUM_EXAMPLES:],
        "exhibit": exhibit(groups | ({"real": real} if real else {}), look, spread_out, NUM_PICTURES),
    }


def _item(example: Mapping[str, Any], part: Literal["answer", "target"]) -> Item:
    scores = {"score": example["score"]} if part == "answer" and "score" in example else {}
    return Item(example[part], example.get("prompt", ""), scores=scores)


def _answer(example: Mapping[str, Any]) -> dict[str, Any]:
    return {"answer": example.get("answer", ""), "score": example.get("score")}


def _times(run: Results) -> list[dict[str, Any]]:
    seconds = run.seconds()
    whole = sum(seconds.values()) or 1.0
    return [
        {"phase": phase, "seconds": took, "percent": 100 * took / whole} for phase, took in seconds.items()
    ]


def _provenance(run: Results) -> Iterator[tuple[str, Any]]:
    """Where the results come from, one fact per line."""
    known = dict(run.environment)
    command, packages = known.pop("command", []), known.pop("packages", {})
    plugins, answers = known.pop("plugins", []), known.pop("true_answers", {})
    known.pop("overlap", None)  # it stands at the top
    yield "command", shlex.join(map(str, command))
    yield "true forget answers, in the loop", answers.get("loop", "not recorded")
    yield "splits read with true answers, by the model", _list(answers.get("model", []))
    for name, splits in answers.get("evaluators", {}).items():
        yield f"splits read with true answers, by {name}", _list(splits)
    yield from _flat("", known)
    yield "packages", ", ".join(f"{name} {packages[name]}" for name in PACKAGES if name in packages)
    for plugin in plugins:
        origin = f"{plugin.get('distribution')} {plugin.get('version')}"
        notes = [f"digest {plugin['digest']}"] if "digest" in plugin else []
        notes += [f"broken: {plugin['error']}"] if "error" in plugin else []
        yield f"plugin {plugin.get('name')}", ", ".join([origin, *notes])


def _flat(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Nested data as lines; what is empty is left out."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(f"{path} {key}".strip().replace("_", " "), inner)
    elif value not in (None, "", []):
        yield path, value


def _list(values: Sequence[str]) -> str:
    return ", ".join(map(str, values)) or "none"


def _documents(run: Results) -> Iterator[tuple[str, str]]:
    for title, name in (
        ("The recipe as written", "recipe.yaml"),
        ("The recipe with every default", "resolved.json"),
    ):
        path = run.directory / name
        if path.exists():
            yield title, path.read_text(encoding="utf-8", errors="replace")
    packages = run.environment.get("packages", {})
    if packages:
        yield (
            f"All {len(packages)} packages",
            "\n".join(f"{name} {version}" for name, version in packages.items()),
        )
