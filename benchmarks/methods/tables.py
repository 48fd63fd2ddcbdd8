"""The tables of docs/methods.md and docs/rewards.md, from measured.json."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from benchmarks.methods import GUIDED, METHODS, Method
from benchmarks.methods.measured import Metrics
from collapse_core import files

COLUMNS = {
    "ROUGE forget": ("rouge_forget", 1),
    "utility": ("utility", 1),
    "MU": ("model_utility", 2),
    "ES": ("extraction_strength_forget", 2),
    "sampled": ("leakage_sampling", 1),
    "prefilled": ("leakage_prefill", 1),
    "relearned ES": ("relearned_strength_20", 2),
    "facts %": ("fact_words_forget", 1),
    "gibberish %": ("answers_gibberish", 0),
    "seconds": ("seconds", 0),
    "drawn": ("tokens_sampled", 0),
    "trained on": ("tokens_trained", 0),
}
"""What the columns show, and with how many decimals."""
GUIDANCE = {
    "ROUGE forget": ("rouge_forget", 1),
    "utility": ("utility", 1),
    "ES": ("extraction_strength_forget", 2),
    "true %": ("answers_true", 0),
    "gibberish %": ("answers_gibberish", 0),
    "refusals %": ("answers_refusal", 0),
    "invented %": ("answers_hallucination", 0),
    "drawn": ("tokens_sampled", 0),
}
EQUAL = 2.0
"""By how many points ROUGE forget may differ and count as equal."""
STANDARDS = {
    "before": "before unlearning",
    "retrained": "*retrained*",
    "never trained on it": "*never trained on it*",
}

Runs = Mapping[str, Metrics]
"""By "name/seed"."""


def methods_table(found: Mapping[str, Any]) -> Iterator[str]:
    """All methods and what they are held against, with the spread over seeds."""
    return _table(found, METHODS, COLUMNS)


def guidance_table(found: Mapping[str, Any]) -> Iterator[str]:
    """PMC with other rewards added."""
    plain = [method for method in METHODS if method.stem in ("pmc", "pmc_alignment")]
    return _table(found, (*plain, *GUIDED), GUIDANCE)


def settings_table(found: Mapping[str, Any]) -> Iterator[str]:
    """What each method was given to choose from, and what it took."""
    yield "| method | setting | ROUGE forget | ES | utility | score |"
    yield "|---|---|---|---|---|---|"
    for method in METHODS:
        for one in found["settings"].get(method.stem, ()):
            metrics = one["metrics"]
            numbers = [
                f"{metrics['rouge_forget']:.1f}",
                f"{metrics['extraction_strength_forget']:.2f}",
                f"{metrics['utility']:.1f}",
                f"{one['score']:.3f}",
            ]
            said = one["setting"].removeprefix("updater.").replace("=", " ", 1)
            shown = f"**{said}**" if one["taken"] else said
            yield f"| {method.name} | {shown} | {' | '.join(numbers)} |"


def fluency_table(found: Mapping[str, Any]) -> Iterator[str]:
    """PMC guided by fluency, and plain PMC in those of its iterations that have forgotten as much.

    Nothing where plain PMC's ROUGE forget was not measured after each iteration.
    """
    rows, lines = [], []
    for key, curves in sorted(found["paths"].items()):
        if "rouge_forget" not in curves:
            continue
        seed = key.removeprefix("pmc/")
        run = found["runs"][f"guided_fluency/{seed}"]
        rouge, gibberish = run["rouge_forget"][0], run["answers_gibberish"][0]
        garbled = dict(curves["answers_gibberish"])
        path = [(i, value, garbled[i]) for i, value in curves["rouge_forget"]]
        numbers, *columns = zip(*at_equal_forgetting(path, rouge), strict=True)
        rows.append((rouge, gibberish, *map(fmean, columns)))
        lines.append(_equal_line(seed, rows[-1], ", ".join(str(int(number)) for number in numbers)))
    if rows:
        yield "| seed | fluency: ROUGE forget | gibberish % | PMC, iterations | ROUGE forget | gibberish % |"
        yield "|---" * 6 + "|"
        yield from lines
        yield _equal_line("mean", [fmean(column) for column in zip(*rows, strict=True)], "")


def _equal_line(seed: object, row: Sequence[float], iterations: str) -> str:
    rouge, gibberish, its, garbled = row
    return f"| {seed} | {rouge:.1f} | {gibberish:.0f} | {iterations} | {its:.1f} | {garbled:.0f} |"


def at_equal_forgetting(path: Sequence[Sequence[float]], rouge: float) -> list[Sequence[float]]:
    """The iterations that come within two points of a value of ROUGE forget, or else the nearest one."""
    equal = [point for point in path if abs(point[1] - rouge) <= EQUAL]
    return equal or [min(path, key=lambda point: abs(point[1] - rouge))]


TABLES = {
    ("methods.md", "methods"): methods_table,
    ("methods.md", "settings"): settings_table,
    ("rewards.md", "guidance"): guidance_table,
    ("rewards.md", "fluency"): fluency_table,
}
"""By the page and what it is called there."""


def put(page: Path, name: str, lines: Sequence[str]) -> None:
    """Put a table into a page, after the comment that names it, instead of the one that is there."""
    text = page.read_text(encoding="utf-8")
    table = "".join(f"{line}\n" for line in lines) + ("\n" if lines else "")
    place = re.compile(rf"(<!-- table: {name} -->\n\n)(?:\|.*\n)*\n?")
    files.write_text(page, place.sub(lambda found: found[1] + table, text))


def _table(
    found: Mapping[str, Any], methods: Sequence[Method], columns: Mapping[str, tuple[str, int]]
) -> Iterator[str]:
    yield f"| | seeds | {' | '.join(columns)} |"
    yield "|---" * (len(columns) + 2) + "|"
    for model, shown in STANDARDS.items():
        if runs := runs_of(model, found["standards"]):
            yield _line(shown, runs, columns)
    for method in methods:
        if runs := runs_of(method.stem, found["runs"]):
            yield _line(method.name, runs, columns)


def runs_of(name: str, runs: Runs) -> list[Metrics]:
    """What was measured of one method or model, a seed each."""
    return [metrics for key, metrics in runs.items() if key.rpartition("/")[0] == name]


def values_of(runs: Sequence[Metrics], metric: str) -> list[float]:
    """A metric with each seed, where it was measured."""
    return [value for run in runs if metric in run and (value := run[metric][0]) is not None]


def _line(shown: str, runs: Sequence[Metrics], columns: Mapping[str, tuple[str, int]]) -> str:
    cells = [_cell(runs, metric, decimals) for metric, decimals in columns.values()]
    return f"| {shown} | {len(runs)} | {' | '.join(cells)} |"


def _cell(runs: Sequence[Metrics], metric: str, decimals: int) -> str:
    """The mean over seeds and their deviation; of one seed its interval over questions.

    Of seconds it is the least: that of the run which was disturbed the least.
    """
    values = values_of(runs, metric)
    if not values:
        return ""
    if metric == "seconds":
        return f"{min(values):.{decimals}f}"
    mean = f"{fmean(values):.{decimals}f}"
    if len(values) > 1:
        return f"{mean} ± {stdev(values):.{decimals}f}"
    low, high = [*next(run[metric] for run in runs if metric in run), None, None][1:3]
    return mean if low is None or high is None else f"{mean} ({low:.{decimals}f}, {high:.{decimals}f})"
