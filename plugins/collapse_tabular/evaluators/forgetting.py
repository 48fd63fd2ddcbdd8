"""Whether the subgroup is still drawn, and what is drawn instead."""

import math
import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy.spatial.distance import pdist

from collapse_core import (
    PERCENT,
    Dataset,
    Evaluation,
    Metric,
    Model,
    derive_seed,
    load_splits,
    mean_metric,
    require,
)
from collapse_tabular.data import Table
from collapse_tabular.data.vectors import Vectors
from collapse_tabular.evaluators import TableForgetting
from collapse_tabular.evaluators.judging import Judge, Row, as_text, beside_real, draw_for, spread
from collapse_tabular.model.row_model import RowModel

NUM_DESTINATIONS = 5
MOST_COMPARED = 2000
"""Of more rows than this, a random sample is compared, pair by pair."""
NUM_EXAMPLES = 100
"""How many rows are written down, with as many real ones."""


def measure_forgetting(settings: TableForgetting, model: Model, data: Dataset, seed: int) -> Evaluation:
    """Return shares in percent, with intervals over draws."""
    rows_model, table = require(model, RowModel, "table-forgetting"), require(data, Table, "table-forgetting")
    load_splits(settings, table)
    judge = Judge(table, derive_seed(seed, "judge"))
    judge.say_if_blind()
    asked = spread(table.load("forget", targets=False), settings.num_rows)
    rows = draw_for(settings, rows_model, asked, derive_seed(seed, "forget"))
    unasked = draw_for(settings, rows_model, [{}] * settings.num_rows, derive_seed(seed, "nothing"))
    recognized = judge.recognizes(rows)
    metrics = {
        "forgotten_share": _percent(recognized, seed, "down"),
        "unasked_share": _percent(judge.recognizes(unasked), seed, "none"),
        "forget_diversity": Metric(_diversity(table, rows, seed), "none"),
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
    return mean_metric(
        [[100.0 * hit for hit in hits]], seed, "down" if direction == "down" else "none", scale=PERCENT
    )


def _destinations(judged: Sequence[str]) -> dict[str, Metric]:
    """Return the shares of the commonest prompts that the rows look like, and that of the rest."""
    counts = Counter(judged).most_common(NUM_DESTINATIONS)
    found = {f"goes_to_{kind}": 100 * count / len(judged) for kind, count in counts}
    rest = 100 - sum(found.values())
    shares = found | ({"goes_elsewhere": rest} if rest > 1e-9 else {})
    return {name: Metric(share, "none") for name, share in shares.items()}


def _diversity(table: Table, rows: Sequence[Row], seed: int) -> float:
    """Return the mean distance of two drawn rows, in units of that of two real retained rows."""
    real = [prompt.target for prompt in table.load("retain")]
    vectors = Vectors.fit(real)
    drawn_apart, real_apart = (
        mean_distance(vectors.of(_some(found, derive_seed(seed, "diversity")))) for found in (rows, real)
    )
    return drawn_apart / real_apart if real_apart else math.nan


def _some(rows: Sequence[Row], seed: int) -> Sequence[Row]:
    """Return all rows, or a sample of them that does not depend on their order in a file."""
    return rows if len(rows) <= MOST_COMPARED else random.Random(seed).sample(rows, MOST_COMPARED)


def mean_distance(points: "np.typing.NDArray[np.float64]") -> float:
    """Return the mean Euclidean distance over all pairs of points; 0 where there is no pair."""
    return float(pdist(points).mean()) if len(points) > 1 else 0.0
