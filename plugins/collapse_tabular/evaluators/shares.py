"""What a model of rows draws when nothing is said."""

from collections.abc import Sequence

from collapse_core import (
    PERCENT,
    CollapseError,
    Dataset,
    Evaluation,
    Metric,
    Model,
    derive_seed,
    load_splits,
    mean_metric,
    require,
)
from collapse_tabular.data import Row, Table
from collapse_tabular.data.vectors import Vectors
from collapse_tabular.evaluators import TableShares
from collapse_tabular.evaluators.judging import draw_for
from collapse_tabular.model.row_model import RowModel


def measure_shares(settings: TableShares, model: Model, data: Dataset, seed: int) -> Evaluation:
    """Return shares in percent, with intervals over draws; the variety as a ratio.

    Raises:
        CollapseError: The label is not drawn.
    """
    rows_model, table = require(model, RowModel, "table-shares"), require(data, Table, "table-shares")
    load_splits(settings, table)
    label = table.label()
    if label not in table.drawn():
        raise CollapseError(
            f"'table-shares' counts the values of '{label}', which prompts say and the model does not draw; "
            "let prompts say nothing (data: prompt: [])"
        )
    real = [prompt.target for prompt in table.load("full")]
    rows = draw_for(settings, rows_model, [{}] * settings.num_rows, derive_seed(seed, "nothing"))
    shares = {
        f"share_{value}": mean_metric([[100.0 * (row[label] == value) for row in rows]], seed, scale=PERCENT)
        for value in sorted({row[label] for row in real}, key=str)
    }
    return Evaluation(shares | {"variety": Metric(variety(rows, real))})


def variety(rows: Sequence[Row], real: Sequence[Row]) -> float:
    """Return the mean squared distance of two of the rows, over that of two real ones: a ratio of variances.

    Twice the variance, summed over all columns, is that mean; numbers are scaled by the real rows.
    """
    vectors = Vectors.fit(real)
    ours, theirs = (vectors.of(some).var(axis=0, ddof=1).sum() for some in (rows, real))
    return float(ours / theirs)
