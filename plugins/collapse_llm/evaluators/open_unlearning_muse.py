"""OpenUnlearning's logs of MUSE, of what `muse-metrics` has measured (src/evals/metrics/memorization.py)."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from statistics import fmean
from typing import Any

SPLITS = {
    "knowmem_forget": "forget_knowmem_ROUGE",
    "knowmem_retain": "retain_knowmem_ROUGE",
    "verbmem_forget": "forget_verbmem_ROUGE",
}
"""What OpenUnlearning calls the overlap of each split."""
IN_SUMMARY = (*SPLITS.values(), "privleak", "extraction_strength")
"""What OpenUnlearning's MUSE suite has in its SUMMARY."""


def last_row(rows: Sequence[Mapping[str, Any]], evaluator: str) -> Mapping[str, Any]:
    """Return the last of an evaluator's rows; nothing where it has measured nothing, or kept no texts."""
    own = [row for row in rows if row["evaluator"].rpartition("/")[2] == evaluator]
    return own[-1] if own and own[-1].get("examples") else {}


def as_files(suite: str, log: Mapping[str, Any], in_summary: Sequence[str]) -> dict[str, object]:
    """Return a log's EVAL and SUMMARY files by name."""
    summary = {name: log[name]["agg_value"] for name in in_summary if name in log}
    return {f"{suite}_EVAL.json": dict(sorted(log.items())), f"{suite}_SUMMARY.json": summary}


def muse_logs(row: Mapping[str, Any]) -> dict[str, object]:
    """Return MUSE_EVAL.json and MUSE_SUMMARY.json; nothing where MUSE was not measured.

    Words are stemmed and continuations compared with the whole text, as OpenUnlearning does, unlike MUSE. Its
    area is that of MUSE from the other side.
    """
    if not row:
        return {}
    log: dict[str, Any] = {}
    for split, name in SPLITS.items():
        found = [_overlap(one) for one in row["examples"] if one["split"] == split]
        log |= {name: _entry([one["rougeL_f1"] for one in found], found)} if found else {}
    strengths = [one["extraction_strength"] for one in row["examples"] if "extraction_strength" in one]
    if strengths:
        log["extraction_strength"] = _entry(strengths, [{"score": value} for value in strengths])
    metrics = row["metrics"]
    if "muse_auc" in metrics:
        area = 1 - metrics["muse_auc"]["value"]
        log["mia_min_k"] = {"auc": area, "agg_value": area}
    if "muse_privleak" in metrics:
        log["privleak"] = {"agg_value": metrics["muse_privleak"]["value"]}
    return as_files("MUSE", log, IN_SUMMARY)


def _entry(values: Sequence[float], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    by_index = {str(number): row for number, row in enumerate(rows)}
    return {"agg_value": fmean(values), "value_by_index": by_index}


def _overlap(row: Mapping[str, Any]) -> dict[str, Any]:
    """What is logged of an answer."""
    truth = row.get("whole_target", row["target"])
    scores = _scorer().score(truth, row["answer"])
    return {
        "rouge1_recall": scores["rouge1"].recall,
        "rougeL_f1": scores["rougeL"].fmeasure,
        "rougeL_recall": scores["rougeL"].recall,
        "input": row["prompt"],
        "ground_truth": truth,
        "generation": row["answer"].strip(),
    }


@lru_cache(maxsize=1)
def _scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rouge1", "rougeL"], use_stemmer=True)
