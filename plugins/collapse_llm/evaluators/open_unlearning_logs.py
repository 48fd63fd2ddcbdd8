"""OpenUnlearning's logs of an evaluation, as its src/evals/base.py writes them (arXiv 2506.12618).

An EVAL file has, by metric, {"agg_value": number, "value_by_index": {"0": {...}, ...}}; a SUMMARY file has
the numbers alone.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from collapse_core import CollapseError, Evaluation, Metric, mean_metric
from collapse_llm.evaluators import formulas
from collapse_llm.evaluators.logs import forget_truth_ratios, read_log
from collapse_llm.evaluators.open_unlearning_muse import as_files, last_row, muse_logs
from collapse_llm.evaluators.open_unlearning_names import PREFIXES, better

VALUE_KEYS = ("prob", "rougeL_recall", "rougeL_f1", "score")
"""What the value of a question may be called; of several, the one whose mean is the metric counts."""
TOLERANCE = 1e-4
"""How far a mean of values may be from the metric that the log gives."""
IN_SUMMARY = (
    "forget_truth_ratio",
    "forget_quality",
    "forget_Q_A_Prob",
    "forget_Q_A_ROUGE",
    "model_utility",
    "privleak",
    "extraction_strength",
)
"""What OpenUnlearning's TOFU suite has in its SUMMARY."""


def columns(split: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, formulas.Numbers]:
    """The values by question of each metric of a set of questions, under OpenUnlearning's names."""

    def column(key: str) -> formulas.Numbers:
        return np.array([row[key] for row in rows], dtype=float)

    prefix = PREFIXES[split]
    found = {f"{prefix}_Q_A_Prob": column("prob"), f"{prefix}_Q_A_ROUGE": column("score")}
    if split == "forget":
        fair = formulas.indifference(column("truth_ratio"))
        return found | {"forget_truth_ratio": fair, "extraction_strength": column("extraction_strength")}
    if split != "retain":
        found[f"{prefix}_Q_A_Prob_normalised"] = column("prob_normalised")
    return found | {f"{prefix}_Truth_Ratio": formulas.truthfulness(column("truth_ratio"))}


def components(split: str, rows: Sequence[Mapping[str, Any]]) -> formulas.Numbers:
    """The three numbers by question that enter Model Utility, of shape (questions, 3)."""
    prefix, found = PREFIXES[split], columns(split, rows)
    probability = f"{prefix}_Q_A_Prob" + ("" if split == "retain" else "_normalised")
    names = (probability, f"{prefix}_Q_A_ROUGE", f"{prefix}_Truth_Ratio")
    return np.stack([found[name] for name in names], axis=1)


def measured(path: Path) -> Evaluation:
    """Return every metric of a log, with intervals where it has values by question.

    Raises:
        CollapseError: It is no such log, or a metric is not the mean of its values.
    """
    log = read_log(path)
    metrics: dict[str, Metric] = {}
    missing: dict[str, str] = {}
    for name, entry in log.items():
        value = entry.get("agg_value") if isinstance(entry, dict) else entry
        if isinstance(entry, dict) and "agg_value" not in entry:
            raise CollapseError(
                f"{path}: '{name}' has no 'agg_value'; expected a log of OpenUnlearning, such as "
                "TOFU_EVAL.json"
            )
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            missing[name] = f"the log gives {value!r}"
            continue
        metrics[name] = _metric(name, float(value), entry, path)
    if not metrics and not missing:
        raise CollapseError(f"{path} is no log of OpenUnlearning: it names no metric")
    return Evaluation(metrics, (), missing)


def _metric(name: str, value: float, entry: Any, path: Path) -> Metric:
    by_index = entry.get("value_by_index") if isinstance(entry, dict) else None
    values = _values(name, value, by_index, path) if isinstance(by_index, dict) else None
    if values is None:
        return Metric(value, better(name))
    found = mean_metric([values.tolist()], 0, better(name))
    return Metric(value, found.direction, found.low, found.high)


def _values(name: str, value: float, by_index: Mapping[str, Any], path: Path) -> formulas.Numbers | None:
    """The values by question whose mean the metric is; None where they are none."""
    rows = [by_index[key] for key in sorted(by_index, key=_number)]
    close = []
    for key in VALUE_KEYS:
        column = [row.get(key) if isinstance(row, dict) else None for row in rows]
        if not column or not all(isinstance(one, int | float) for one in column):
            continue
        values = _aggregated(name, np.array(column, dtype=float))
        close.append((abs(float(values.mean()) - value), values))
    if not close:
        return None
    apart, values = min(close, key=lambda pair: pair[0])
    if not apart <= TOLERANCE * max(1.0, abs(value)):
        raise CollapseError(
            f"{path}: '{name}' is {value:.6g}, but the mean of its values by question is "
            f"{float(values.mean()):.6g}; the log is of two evaluations, so "
            "evaluate again with overwrite=true"
        )
    return values


def _aggregated(name: str, values: formulas.Numbers) -> formulas.Numbers:
    """What is averaged of each question: for truth ratios not the ratio itself."""
    if name == "forget_truth_ratio":
        return formulas.indifference(values)
    return formulas.truthfulness(values) if name.endswith("_Truth_Ratio") else values


def _number(key: str) -> tuple[int, str]:
    return (int(key), "") if key.isdecimal() else (-1, key)


def compared(path: Path, retained: Path) -> dict[str, Metric]:
    """Return Forget Quality and PrivLeak of a log and that of a retain model, as far as both have them."""
    metrics: dict[str, Metric] = {}
    logs = [read_log(path), read_log(retained)]
    if all("forget_truth_ratio" in log for log in logs):
        p_value, _ = formulas.forget_quality(forget_truth_ratios(path), forget_truth_ratios(retained))
        metrics["forget_quality"] = Metric(p_value, "up")
    found = [(log.get("mia_min_k") or {}).get("agg_value") for log in logs]
    areas = [float(area) for area in found if isinstance(area, int | float)]
    if len(areas) == len(logs):
        metrics["privleak"] = Metric(formulas.privacy_leakage(*areas))
    if not metrics:
        raise CollapseError(
            f"{path} and {retained} have neither 'forget_truth_ratio' nor 'mia_min_k' in common, so nothing "
            "can be compared; give the EVAL files, not the SUMMARY files"
        )
    return metrics


def as_logs(rows: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    """Return the logs, EVAL and SUMMARY of TOFU and of MUSE, by name, of what was measured in one model.

    Raises:
        CollapseError: Neither 'open-unlearning' nor 'muse-metrics' has measured it, or texts were not kept.
    """
    if logs := _tofu(rows) | muse_logs(last_row(rows, "muse-metrics")):
        return logs
    raise CollapseError(
        "there is nothing that OpenUnlearning's logs could be made of: the evaluator 'open-unlearning' "
        "has not measured this model, nor has 'muse-metrics', or 'keep_text' is false; measure it with "
        "'collapse eval RUN --with open-unlearning --output FILE', then give --rows FILE"
    )


def _tofu(rows: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    own = last_row(rows, "open-unlearning")
    if not own:
        return {}
    log: dict[str, Any] = {}
    for split in PREFIXES:
        found = [row for row in own["examples"] if row["split"] == split]
        log |= dict(_entries(split, found)) if found else {}
    for row in rows:
        for name in ("model_utility", "forget_quality", "privleak"):
            if name in row["metrics"]:
                log[name] = {"agg_value": row["metrics"][name]["value"]}
    return as_files("TOFU", log, IN_SUMMARY)


def _entries(split: str, rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Each metric of a set of questions, as a log has it."""
    prefix = PREFIXES[split]
    logged = {
        f"{prefix}_Q_A_Prob": [{"prob": row["prob"], "avg_loss": row["avg_loss"]} for row in rows],
        f"{prefix}_Q_A_ROUGE": [
            {
                "rougeL_recall": row["score"],
                "input": row["prompt"],
                "ground_truth": row["target"],
                "generation": row["answer"],
            }
            for row in rows
        ],
        f"{prefix}_Q_A_Prob_normalised": [{"prob": row["prob_normalised"]} for row in rows],
        f"{prefix}_Truth_Ratio": [{"score": row["truth_ratio"]} for row in rows],
        "forget_truth_ratio": [{"score": row["truth_ratio"]} for row in rows],
        "extraction_strength": [{"score": row.get("extraction_strength")} for row in rows],
    }
    for name, values in columns(split, rows).items():
        by_index = {str(number): value for number, value in enumerate(logged[name])}
        yield name, {"agg_value": float(values.mean()), "value_by_index": by_index}
