"""The accidents of the evaluators of images, graphs, tables and the toys."""

import copy
import csv
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accidents import Accident, changed, none

from collapse_core import Prompt, PromptSet
from collapse_diffusion.data import Digits
from collapse_diffusion.evaluators import ConceptSimilarity, ImageDistance, Recognition, Relearning
from collapse_diffusion.judging import Classifier
from collapse_diffusion.model import ClassDiffusion, TeachImages, Unet
from collapse_diffusion.model.drawing import Drawing
from collapse_graph.data import Atlas, DigitsGraph
from collapse_graph.evaluators import (
    GraphForgetting,
    GraphQuality,
    GraphRelearning,
    MembershipInference,
    NodeAccuracy,
)
from collapse_graph.model import GraphGenerator, NodeClassifier, TeachGraphs, TeachLabels
from collapse_graph.model.network import GraphModel
from collapse_tabular.data import TableFile, Wine, all_hold
from collapse_tabular.evaluators import (
    TableForgetting,
    TablePrivacy,
    TableQuality,
    TableRelearning,
    TableShares,
)
from collapse_tabular.model import RowDiffusion, TeachRows
from collapse_toy.data import Cities, Numbers
from collapse_toy.evaluators import CategoryShares, GaussianShape
from collapse_toy.model import Categorical, Gaussian

TINY = RowDiffusion(
    width=8, depth=1, num_noise_levels=4, device="cpu", teach=TeachRows(steps=1, batch_size=16)
)
FEW: dict[str, Any] = {"num_rows": 12, "steps": 2}


def of_toys() -> Iterator[Accident]:
    """Those of exact models."""
    yield Accident(
        "a probability is NaN", "missing", "Toronto: it came out as nan",
        CategoryShares(use="category-shares"), Categorical({"Toronto": float("nan")}), Cities(use="cities"),
    )  # fmt: skip
    numbers = Numbers(use="numbers")
    yield Accident(
        "no real data", "error", "'gaussian-shape' needs the split 'full', which is empty",
        GaussianShape(use="gaussian-shape"), Gaussian([0.0, 1.0]), changed(numbers, full=none),
    )  # fmt: skip


def of_images() -> Iterator[Accident]:
    """Those of drawn images."""
    digits = Digits(use="digits", num_draws=3)
    model = ClassDiffusion(
        unet=Unet(channels=[8]), timesteps=50, teach=TeachImages(steps=1, batch_size=8), device="cpu"
    ).load(digits, 0)
    drawing, blind = Drawing(steps=1), Classifier(steps=1)
    yield Accident(
        "a judge that recognizes nothing", "note", "the judge recognizes .* of the real images of what is to",
        Recognition(use="recognition", judge=blind, drawing=drawing, num_forget=2, num_retain=2),
        model, digits,
    )  # fmt: skip
    yield Accident(
        "no held-out images", "error", "'image-distance' needs at least two real images of retained classes",
        ImageDistance(use="image-distance", judge=blind, drawing=drawing, num_retain=2), model,
        changed(digits, test=lambda found: list(found)[:1]),
    )  # fmt: skip
    yield Accident(
        "the copy diverges", "error", "in step 2 of 2; lower the learning_rate|not finite",
        Relearning(use="relearning", judge=blind, drawing=drawing, after=[2], num_forget=2,
                   learning_rate=1e30),
        model, digits,
    )  # fmt: skip
    yield Accident(
        "nothing to retain", "error", "'concept-similarity' needs the split 'retain', which is empty",
        ConceptSimilarity(use="concept-similarity", path="unused", concept="a seven", drawing=drawing),
        model, changed(digits, retain=none),
    )  # fmt: skip


def of_graphs() -> Iterator[Accident]:
    """Those of drawn graphs and of labels of nodes."""
    atlas = Atlas(use="graph-atlas", num_draws=4)
    teach = TeachGraphs(epochs=1)
    model = GraphGenerator(use="graph-generator", width=4, hidden=8, teach=teach).load(atlas, 0)
    assert isinstance(model, GraphModel)
    copied = copy.deepcopy(model)
    with torch.no_grad():
        model.network.head.bias[0] = 1e4  # every graph ends at once
    yield Accident(
        "few valid graphs", "note", "only 0 of the 4 graphs drawn are valid",
        GraphForgetting(use="graph-forgetting", num_draws=4), model, atlas,
    )  # fmt: skip
    yield Accident(
        "no held-out graph to compare with", "missing", "mmd_degree: no held-out graph fulfills a retained",
        GraphQuality(use="graph-quality", num_draws=2), model,
        changed(atlas, test=lambda found: [p for p in found if p.content == atlas.forgotten]),
    )  # fmt: skip
    yield Accident(
        "the copy diverges", "error", "in step 2 of 2; lower the learning_rate|not finite",
        GraphRelearning(use="graph-relearning", num_draws=2, after=[2], learning_rate=1e30), copied, atlas,
    )  # fmt: skip
    nodes = DigitsGraph(use="digits-graph")
    labels = TeachLabels(steps=1)
    classifier = NodeClassifier(use="node-classifier", hidden=4, teach=labels).load(nodes, 0)
    yield Accident(
        "an empty set", "missing", "accuracy_retain: no node of the data set is in it",
        NodeAccuracy(use="node-accuracy"), classifier, changed(nodes, retain=none),
    )  # fmt: skip
    yield Accident(
        "no node to compare with", "missing", "membership_auc: no test node has a label that is forgotten",
        MembershipInference(use="membership-inference"), classifier, changed(nodes, test=none),
    )  # fmt: skip


def of_tables(folder: Path) -> Iterator[Accident]:
    """Those of drawn rows."""
    table = noise(folder / "noise.csv")
    model = TINY.load(table, 0)
    wine = Wine(use="wine", num_draws=4)
    yield Accident(
        "a judge that sees nothing", "note", "the judge of rows is right about .*: what it says of drawn",
        TableForgetting(use="table-forgetting", **FEW), TINY.load(wine, 0),
        changed(wine, full=scrambled, test=scrambled),
    )  # fmt: skip
    yield Accident(
        "nothing to predict", "missing", "trained_on_drawn: the retained rows have one value of the label",
        TableQuality(use="table-quality", **FEW), model, table,
    )  # fmt: skip
    subgroup = table.subgroup()
    yield Accident(
        "no held-out row of the subgroup", "missing", "membership_by_loss: no held-out row is of",
        TablePrivacy(use="table-privacy", **FEW), model,
        changed(table, test=lambda rows: [p for p in rows if not all_hold(subgroup, p.content)]),
    )  # fmt: skip
    yield Accident(
        "the copy diverges", "error", "in step 2 of 2; lower the learning_rate|not finite",
        TableRelearning(use="table-relearning", after=[2], learning_rate=1e30, **FEW), model, table,
    )  # fmt: skip
    yield Accident(
        "one row", "missing", "variety: it came out as nan",
        TableShares(use="table-shares", num_rows=1, steps=2), model, table,
    )  # fmt: skip


def scrambled(found: PromptSet) -> Sequence[Prompt]:
    """Give each row the prompt of another one."""
    contents = random.Random(0).sample([prompt.content for prompt in found], len(found))
    return [replace(prompt, content=content) for prompt, content in zip(found, contents, strict=True)]


def noise(path: Path) -> TableFile:
    """A table all of whose rows have one label."""
    source = random.Random(0)
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["trade", "height", "label"])
        for _ in range(120):
            trade = "smith" if source.random() < 0.3 else "baker"
            lines.writerow([trade, round(source.gauss(170, 6), 1), "high"])
    return TableFile.model_validate(
        {
            "use": "table",
            "path": str(path),
            "prompt": ["trade"],
            "predict": "label",
            "forget": [{"column": "trade", "value": "smith"}],
            "num_draws": 4,
        }
    )


def accidents(folder: Path) -> Iterator[Accident]:
    """All of them."""
    yield from of_toys()
    yield from of_images()
    yield from of_graphs()
    yield from of_tables(folder)
