"""What the rows of retained prompts are still good for."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from collapse_core import (
    PERCENT,
    CollapseError,
    Dataset,
    Evaluation,
    Metric,
    Model,
    Prompt,
    derive_seed,
    load_splits,
    mean_metric,
    require,
)
from collapse_tabular.classifier import classifier
from collapse_tabular.data import Table, all_hold
from collapse_tabular.data.vectors import Vectors
from collapse_tabular.evaluators import TableQuality
from collapse_tabular.evaluators.judging import Judge, as_text, beside_real, draw_for
from collapse_tabular.evaluators.marginals import marginals
from collapse_tabular.model.row_model import RowModel

Row = Mapping[str, Any]
LEAST_DRAWS = 50
"""How often each prompt is drawn for at least, to find the worst."""
NUM_EXAMPLES = 100
"""How many rows are written down, with as many real ones."""
USEFUL = ("trained_on_drawn", "trained_on_real")
ONE_VALUE = "the retained rows have one value of the label, so that nothing is to be predicted"
NUM_WORST = 3
"""How many of the worst prompts are shown."""


def measure_quality(settings: TableQuality, model: Model, data: Dataset, seed: int) -> Evaluation:
    """Measure accuracy, marginals and usefulness, and what real rows reach."""
    rows_model, table = require(model, RowModel, "table-quality"), require(data, Table, "table-quality")
    load_splits(settings, table)
    judge = Judge(table, derive_seed(seed, "judge"))
    judge.say_if_blind()
    retain, held_out = table.load("retain"), retained(table)
    asked = [dict(p.content) for p in _as_many(retain, settings.num_rows)]
    rows = draw_for(settings, rows_model, asked, derive_seed(seed, "retain"))
    real, test = [p.target for p in retain], [p.target for p in held_out]
    obeys = [found == said for found, said in zip(judge.contents(rows), asked, strict=True)]
    prompts = by_prompt(settings, rows_model, judge, retain, derive_seed(seed, "prompts"))
    metrics = {
        "retained_accuracy": mean_metric([[100.0 * hit for hit in obeys]], seed, "up", scale=PERCENT),
        "worst_prompt_accuracy": Metric(min(accuracy for _, accuracy in prompts), "up"),
        "marginals": Metric(100 * marginals(rows, real), "up"),
        "marginals_floor": Metric(100 * marginals(test, real), "none"),
    }
    synthetic = [{**said, **row} for said, row in zip(asked, rows, strict=True)]
    worst = [
        {"split": "retain", "prompt": said, "answer": "percentage of rows that answer it", "target": None}
        | {"score": accuracy}
        for said, accuracy in prompts[:NUM_WORST]
    ]
    examples = [
        {"split": "retain", "prompt": as_text(said), "answer": row, "score": float(hit)}
        for said, row, hit in zip(asked, rows, obeys, strict=True)
    ]
    shown = worst + beside_real(examples, retain, NUM_EXAMPLES)
    useful = _usefulness(table, synthetic, retain, held_out, seed)
    return Evaluation(metrics | useful, shown, {} if useful else dict.fromkeys(USEFUL, ONE_VALUE))


def by_prompt(
    settings: TableQuality, model: RowModel, judge: Judge, retain: Sequence[Prompt], seed: int
) -> list[tuple[str, float]]:
    """Measure how often each retained prompt is answered, in percent, the worst first.

    In their proportions the rare ones, which may be the nearest to the subgroup, would not be seen.
    """
    kinds = {as_text(prompt.content): dict(prompt.content) for prompt in retain}
    num = max(LEAST_DRAWS, settings.num_rows // len(kinds))
    asked = [said for said in kinds.values() for _ in range(num)]
    judged = judge.contents(draw_for(settings, model, asked, seed))
    hits = [found == said for found, said in zip(judged, asked, strict=True)]
    found = [(kind, 100 * fmean(hits[i * num : (i + 1) * num])) for i, kind in enumerate(kinds)]
    return sorted(found, key=lambda one: one[1])


def retained(table: Table) -> list[Prompt]:
    """Return the held-out rows outside the subgroup.

    Raises:
        CollapseError: There are none.
    """
    subgroup = table.subgroup()
    found = [p for p in table.load("test") if not all_hold(subgroup, {**p.content, **p.target})]
    if not found:
        raise CollapseError(
            "all held-out rows are of the subgroup, so that retained rows have nothing to be compared with; "
            "hold more rows out, or leave 'table-quality' and 'table-privacy' out"
        )
    return found


def _as_many(prompts: Sequence[Prompt], num: int) -> list[Prompt]:
    """Return `num` prompts, each in its proportion."""
    return [prompts[i * len(prompts) // num] for i in range(num)]


def _usefulness(
    table: Table, synthetic: Sequence[Row], real: Sequence[Prompt], test: Sequence[Prompt], seed: int
) -> dict[str, Metric]:
    """Compare a forest taught on drawn rows with one taught on as many real ones, on held-out real rows.

    Train on synthetic, test on real (Esteban et al. 2017): accuracy in percent on the label column.
    """
    label, kinds = table.label(), [{**p.content, **p.target} for p in _as_many(real, len(synthetic))]
    wanted = [{**p.content, **p.target} for p in test]
    if len({row[label] for row in kinds}) < 2:
        return {}
    hidden = [label] if label in table.drawn() else list(table.said())
    vectors = Vectors.fit(kinds, leave_out=hidden)
    found = {}
    for name, rows in (("trained_on_drawn", synthetic), ("trained_on_real", kinds)):
        forest = classifier("forest", derive_seed(seed, "usefulness"))
        forest.fit(vectors.of(rows), [str(row[label]) for row in rows])
        hits = [
            100.0 * (guess == str(row[label]))
            for guess, row in zip(forest.predict(vectors.of(wanted)), wanted, strict=True)
        ]
        found[name] = mean_metric([hits], seed, "up" if name == "trained_on_drawn" else "none", scale=PERCENT)
    return found
