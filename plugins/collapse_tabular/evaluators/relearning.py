"""How soon the subgroup comes back."""

import torch

from collapse_core import (
    PERCENT,
    Dataset,
    Evaluation,
    Metric,
    Model,
    check_finite,
    derive_seed,
    load_splits,
    mean_metric,
    require,
)
from collapse_core.torch import adamw, backward, descend, seeded
from collapse_tabular.data import Table
from collapse_tabular.evaluators import TableRelearning
from collapse_tabular.evaluators.judging import Judge, draw_for, spread
from collapse_tabular.model.row_model import RowModel
from collapse_tabular.model.training import denoising_loss


def measure_relearning(settings: TableRelearning, model: Model, data: Dataset, seed: int) -> Evaluation:
    """Return the share of forget draws that are of the subgroup, in percent, after some steps each.

    Rows with a category that the model does not know are counted: it cannot draw them, nor learn to.
    """
    table = require(data, Table, "table-relearning")
    examples = load_splits(settings, table).found["forget_examples"]
    copy_ = _copy(require(model, RowModel, "table-relearning"))
    judge = Judge(table, derive_seed(seed, "judge"))
    judge.say_if_blind()
    codec = copy_.codec
    rows = codec.encode([p.target for p in examples], with_unknown=True).to(copy_.device)
    prompts = codec.prompts([codec.known(p.content) for p in examples]).to(copy_.device)
    asked = spread(table.load("forget", targets=False), settings.num_rows)

    def accumulate(_: int) -> float:
        chosen = torch.randint(len(rows), (settings.batch_size,), device=copy_.device)
        return backward(denoising_loss(copy_, rows[chosen], prompts[chosen], copy_.condition_dropout))

    unknown = 100 * sum(codec.has_unknown(p.target) for p in examples) / len(examples)
    metrics = {"rows_it_cannot_draw": Metric(unknown, "none")} if unknown else {}
    steps = descend(
        copy_.optimizer(adamw()), max(settings.after), accumulate, lambda _: settings.learning_rate
    )
    with seeded(derive_seed(seed, "relearn")):
        for number in steps:
            if number in settings.after:
                check_finite(copy_)
                drawn = draw_for(settings, copy_, asked, derive_seed(seed, "relearned"))
                hits = [100.0 * hit for hit in judge.recognizes(drawn)]
                metrics[f"relearned_after_{number}"] = mean_metric([hits], seed, "down", scale=PERCENT)
    return Evaluation(metrics)


def _copy(model: RowModel) -> RowModel:
    """Return another model of the same weights, with an optimizer of its own."""
    copy = RowModel(model.codec, model.shape, model.condition_dropout, model.device)
    copy.module.load_state_dict(model.module.state_dict())
    return copy
