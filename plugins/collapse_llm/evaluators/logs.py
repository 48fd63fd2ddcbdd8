"""Published logs of TOFU's evaluation: what they say of each question, without any model."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from collapse_core import CollapseError, errors
from collapse_llm.evaluators.formulas import AnswerLosses, Numbers, truth_ratio

TASKS = {
    "retain": "eval_log.json",
    "real_authors": "eval_real_author_wo_options.json",
    "world_facts": "eval_real_world_wo_options.json",
    "forget": "eval_log_forget.json",
}
"""The parts of a log of the repository locuslab/tofu, by what they ask."""

Log = Mapping[str, Any]


def read_log(path: Path) -> Log:
    """Read a log.

    Raises:
        CollapseError: It is no JSON object.
    """
    try:
        log = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise errors.unreadable(path, error) from None
    except ValueError as error:
        raise CollapseError(f"{path} is no log: not JSON: {error}") from None
    if not isinstance(log, dict):
        raise CollapseError(f"{path} is no log: expected an object, such as TOFU's aggregated log")
    return log


def losses_in(log: Log, task: str, path: Path) -> AnswerLosses:
    """Return the losses by question that a log has of a task, in the order of its questions."""
    part = _part(log, task, path)
    return AnswerLosses(
        _column(part, "avg_gt_loss", task, path),
        _column(part, "avg_paraphrased_loss", task, path),
        [list(wrong) for wrong in _values(part, "average_perturb_loss", task, path)],
    )


def rouge_in(log: Log, task: str, path: Path) -> Numbers:
    """Return the ROUGE-L recall by question that a log has of a task."""
    return _column(_part(log, task, path), "rougeL_recall", task, path)


def forget_truth_ratios(path: Path) -> Numbers:
    """Return the truth ratios of the forget questions, from a log of TOFU or of OpenUnlearning."""
    log = read_log(path)
    if "forget_truth_ratio" not in log:
        return truth_ratio(losses_in(log, "forget", path))
    try:
        by_index = log["forget_truth_ratio"]["value_by_index"]
        scores = {key: by_index[key]["score"] for key in sorted(by_index, key=int)}
    except (KeyError, TypeError, ValueError):
        scores = {}
    if not scores:
        raise CollapseError(f"{path}: 'forget_truth_ratio' holds no scores by question")
    for index, score in scores.items():
        _check(score, "forget_truth_ratio", "score", index, path)
    return np.array(list(scores.values()), dtype=float)


def _part(log: Log, task: str, path: Path) -> Mapping[str, Any]:
    part = log.get(TASKS[task])
    if not isinstance(part, dict):
        raise CollapseError(
            f"{path} has no '{TASKS[task]}'; expected an aggregated log of TOFU's evaluation, which has "
            f"{', '.join(TASKS.values())}"
        )
    return part


def _column(part: Mapping[str, Any], key: str, task: str, path: Path) -> Numbers:
    return np.array(_values(part, key, task, path), dtype=float)


def _values(part: Mapping[str, Any], key: str, task: str, path: Path) -> Sequence[Any]:
    found = part.get(key)
    if not isinstance(found, dict) or not found:
        raise CollapseError(f"{path}: '{TASKS[task]}' has no '{key}' by question")
    for index, value in found.items():
        for number in value if isinstance(value, list) else [value]:
            _check(number, TASKS[task], key, index, path)
    return [found[index] for index in sorted(found, key=int)]


def _check(value: object, part: str, key: str, index: str, path: Path) -> None:
    """Refuse what is no number; such a hole would make the mean of all one.

    Raises:
        CollapseError: It is none.
    """
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise CollapseError(
            f"{path}: '{part}' has no number in '{key}' for question {index}, but {value!r}; leave that "
            "question out of the whole log, or measure it again"
        )
