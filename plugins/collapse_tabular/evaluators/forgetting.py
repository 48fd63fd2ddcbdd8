"""Whether the subgroup is still drawn, and what is drawn instead."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from collapse_core import Dataset, Evaluation, Metric, Model, derive_seed, mean_metric, require
from collapse_tabular.data import Table
from collapse_tabular.data.vectors import Vectors
from collapse_tabular.evaluators import TableForgetting
from collapse_tabular.evaluators.judging import Judge, Row, as_text, beside_real, draw_for, spread
from collapse_tabular.model.row_model import RowModel

NUM_DESTINATIONS = 5
NUM_EXAMPLES = 100
"""How many rows are written down, with as many real ones."""


def measure_forgetting(settings: TableForgetting, model: Model, data: Dataset, seed: int) -> Evaluation:
    """Return shares in percent, with intervals over draws."""
    rows_model, table = require(model, RowModel, "table-forgetting"), require(data, Table, "table-forgetting")
    judge = Judge(table, derive_seed(seed, "judge"))
    asked = spread(table.load("forget", targets=False), settings.num_rows)
    rows = draw_for(settings, rows_model, asked, derive_seed(seed, "forget"))
    unasked = draw_for(settings, rows_model, [{}] * settings.num_rows, derive_seed(seed, "nothing"))
    recognized = judge.recognizes(rows)
    metrics = {
        "forgotten_share": _percent(recognized, seed, "down"),
        "unasked_share": _percent(judge.recognizes(unasked), seed, "none"),
        "forget_diversity": Metric(_diversity(table, rows), "none"),
        "judge_accuracy": Metric(100 * judge.accuracy, "none"),
    }
    judged = [as_text(said) for said in judge.contents(rows)]
    metrics |= _destinations(judged)
    examples = [
        {"split": "forget", "prompt": as_text(said), "answer": row, "score": float(hit), "judged": kind}
        for said, row, hit, kind in zip(asked, rows, recognized, judged, strict=True)
    ]
    return Evaluation(metrics, beside_real(examples, table.load("forget_examples"), NUM_EXAMPLES))


def _percent(hits: Sequence[bool], seed: int, direction: str) -> Metric:
    return mean_metric([[100.0 * hit for hit in hits]], seed, "down" if direction == "down" else "none")


def _destinations(judged: Sequence[str]) -> dict[str, Metric]:
    """Return the shares of the commonest prompts that the rows look like, and that of the rest."""
    counts = Counter(judged).most_common(NUM_DESTINATIONS)
    found = {f"goes_to_{kind}": 100 * count / len(judged) for kind, count in counts}
    rest = 100 - sum(found.values())
    shares = found | ({"goes_elsewhere": rest} if rest > 1e-9 else {})
    return {name: Metric(share, "none") for name, share in shares.items()}


def _diversity(table: Table, rows: Sequence[Row]) -> float:
    """Return the mean distance of two drawn rows, in units of that of two real retained rows."""
    real = [prompt.target for prompt in table.load("retain")][: len(rows)]
    vectors = Vectors.fit(real)
    return _mean_distance(vectors.of(rows)) / _mean_distance(vectors.of(real))


def _mean_distance(points: "np.typing.NDArray[np.float64]") -> float:
    """Between each row and its next but one, and so on round: as good as all pairs, and linear in them."""
    shifts = range(1, min(20, len(points)))
    return float(
        np.mean([np.linalg.norm(points - np.roll(points, s, axis=0), axis=1).mean() for s in shifts])
    )
