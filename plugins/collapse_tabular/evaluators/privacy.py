"""Distances to the closest records, and membership inference."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from collapse_core import (
    PERCENT,
    Dataset,
    Evaluation,
    Metric,
    Model,
    Prompt,
    area_metric,
    derive_seed,
    load_splits,
    mean_metric,
    require,
)
from collapse_core.torch import seeded
from collapse_tabular.data import Table, all_hold
from collapse_tabular.data.vectors import Vectors, nearest
from collapse_tabular.evaluators import TablePrivacy
from collapse_tabular.evaluators.judging import draw_for, spread
from collapse_tabular.evaluators.quality import retained
from collapse_tabular.model.diffusion import losses
from collapse_tabular.model.row_model import RowModel

Array = npt.NDArray[np.float64]
NUM_LEVELS = 20
"""At how many noise levels a row's loss is taken."""
MOST_RECORDS = 5000
"""More training rows than this are thinned out before distances are taken."""


ATTACKS = ("membership_by_distance", "membership_by_loss")


def measure_privacy(settings: TablePrivacy, model: Model, data: Dataset, seed: int) -> Evaluation:
    """Of retained prompts: distance to the closest record. Of the subgroup: membership inference."""
    rows_model, table = require(model, RowModel, "table-privacy"), require(data, Table, "table-privacy")
    load_splits(settings, table)
    attacked = _membership(settings, rows_model, table, seed)
    missing = {} if attacked else dict.fromkeys(ATTACKS, "no held-out row is of the subgroup")
    return Evaluation(_closeness(settings, rows_model, table, seed) | attacked, missing=missing)


def _closeness(settings: TablePrivacy, model: RowModel, table: Table, seed: int) -> dict[str, Metric]:
    """Measure how far drawn rows are from training rows, and whether nearer to these than to others."""
    retain, test = list(table.load("retain")), retained(table)
    vectors = Vectors.fit([p.target for p in retain])
    drawn = vectors.of(
        draw_for(settings, model, spread(retain, settings.num_rows), derive_seed(seed, "closeness"))
    )
    taught, unseen = (vectors.of([p.target for p in some]) for some in (retain, test))
    num = min(len(taught), len(unseen), MOST_RECORDS)
    to_taught, to_unseen = nearest(drawn, _thinned(taught, num)), nearest(drawn, _thinned(unseen, num))
    closer = [100.0 if a < b else 50.0 if a == b else 0.0 for a, b in zip(to_taught, to_unseen, strict=True)]
    return {
        "closest_record": Metric(float(np.median(nearest(drawn, _thinned(taught, MOST_RECORDS)))), "none"),
        "closest_record_real": Metric(
            float(np.median(nearest(unseen, _thinned(taught, MOST_RECORDS)))), "none"
        ),
        "closer_to_taught": mean_metric([closer], seed, "none", scale=PERCENT),
    }


def _membership(settings: TablePrivacy, model: RowModel, table: Table, seed: int) -> dict[str, Metric]:
    """Return how well attacks distinguish the subgroup's training rows from its held-out ones."""
    subgroup = table.subgroup()
    members = list(table.load("forget_examples"))
    others = [p for p in table.load("test") if all_hold(subgroup, {**p.content, **p.target})]
    if not members or not others:
        return {}
    vectors = Vectors.fit([p.target for p in table.load("retain")])
    asked = spread(table.load("forget", targets=False), settings.num_rows)
    drawn = vectors.of(draw_for(settings, model, asked, derive_seed(seed, "membership")))
    near = [-nearest(vectors.of([p.target for p in some]), drawn) for some in (members, others)]
    easy = [-_row_losses(model, some, derive_seed(seed, "loss")) for some in (members, others)]
    return {
        name: area_metric(of_members.tolist(), of_others.tolist(), unit=100)
        for name, (of_members, of_others) in zip(ATTACKS, (near, easy), strict=True)
    }


def _row_losses(model: RowModel, prompts: Sequence[Prompt], seed: int) -> Array:
    """Return the denoising loss of each real row, the mean over fixed levels and as many draws of noise."""
    codec = model.codec
    rows = codec.encode([p.target for p in prompts], with_unknown=True).to(model.device)
    said = codec.prompts([codec.known(p.content) for p in prompts]).to(model.device)
    total = torch.zeros(len(rows), device=model.device)
    with torch.inference_mode(), seeded(seed):
        for place in range(NUM_LEVELS):
            levels = torch.full((len(rows),), (place + 0.5) / NUM_LEVELS, device=model.device)
            total += losses(model.module, codec, rows, said, levels, torch.randn_like(rows))
    return np.asarray((total / NUM_LEVELS).double().cpu().numpy(), dtype=np.float64)


def _thinned(points: Array, num: int) -> Array:
    """At most `num` of the points, evenly spaced."""
    if len(points) <= num:
        return points
    return points[np.arange(num) * len(points) // num]
