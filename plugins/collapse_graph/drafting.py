"""A recipe for graphs of a user's, or for the nodes of one, from a look at them."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any, TypeVar

from pydantic import ValidationError

from collapse_core import CollapseError, Dataset, Draft, drafting, files
from collapse_graph.data import GraphFiles, NodeFile
from collapse_graph.data.content import is_connected
from collapse_graph.data.motifs import MOTIFS
from collapse_graph.data.stored import saved_graphs, tu_prefix

STEPS, BATCH, LEAST_EPOCHS, MOST_EPOCHS = 1600, 64, 5, 120
"""Steps for which a generator is taught and their graphs, and how often it sees each graph."""
MOST_RETAIN = 4096
"""Graphs or nodes to retain of an iteration, where there are as many."""

Data = TypeVar("Data", bound=Dataset)


def draft_recipe(name: str, model: str | None, sources: Mapping[str, Any]) -> Draft | None:
    """Look at graphs; None where the data is none, or the model is of another kind.

    Raises:
        CollapseError: The graphs cannot be read, or it is not said which are to be forgotten.
    """
    source = drafting.chosen(sources)
    exported = _exported(model) if model else ""
    if source is None or exported is None or not _holds_graphs(source.path):
        return None
    one = not tu_prefix(source.path) and len(saved_graphs(source.path)) == 1
    drafting.refuse_others(sources, "nodes" if one else "graphs")
    if exported and (exported == "nodes") != one:
        raise CollapseError(
            f"{model} is a model of {exported}, and {source.path} holds "
            f"{'the nodes of one graph' if one else 'several graphs'}; choose others"
        )
    return (_of_nodes if one else _of_graphs)(name, model, source)


def _holds_graphs(path: Path) -> bool:
    inside = [path / "processed" / "data.pt", path / "data.pt"]
    return path.suffix == ".pt" or tu_prefix(path) is not None or any(file.is_file() for file in inside)


def _exported(model: str) -> str | None:
    """What an exported model is of, "graphs" or "nodes"; None where it is of another kind."""
    try:
        config = files.read_json(Path(model) / "config.json")
    except (OSError, ValueError):
        return None
    keys = set(config) if isinstance(config, Mapping) else set()
    if {"conditions", "sizes", "vocabulary"} <= keys:
        return "graphs"
    return "nodes" if "num_labels" in keys or keys == {"network", "arguments"} else None


def _of_graphs(name: str, model: str | None, source: drafting.Chosen) -> Draft:
    example = f"'{{from: {source.path}, where: {{motif: triangle}}}}', or 'where: {{label: 1}}'"
    said = source.column(("motif", "label"), example)
    if said is None:
        raise CollapseError(
            f"{source.path} holds graphs; say which are to be forgotten: --forget {example}; motifs are "
            f"{', '.join(MOTIFS)}"
        )
    key, value = said
    given = {"use": "graph-files", "path": str(source.path)}
    given |= {"motif" if key == "motif" else "forget": value, **source.fields}
    data = _validated(GraphFiles, given)
    full, forget = data.load("full"), data.load("forget_examples")
    connected = all(is_connected(prompt.target) for prompt in full)
    epochs = max(LEAST_EPOCHS, min(MOST_EPOCHS, round(STEPS * BATCH / len(full))))
    taught = {"epochs": epochs, "learning_rate": 5e-3}
    sizes = sorted(len(prompt.target["nodes"]) for prompt in full)
    found = [
        f"graphs {source.path}: {len(full)} to train on and {len(data.load('test'))} held out, of {sizes[0]} "
        f"to {sizes[-1]} nodes, {'all connected' if connected else 'not all connected'}",
        f"to forget: {data.forgotten}, {len(forget)} of those to train on; the others are "
        + ", ".join(f"{one} ({num})" for one, num in _others(full, data.forgotten)),
        f"model: {f'{model}, an exported generator' if model else f'taught by the recipe: {epochs} epochs'}",
    ]
    rewards = f"\n  - {{use: without-motif, motif: {value}}}"
    why = "contains no copy of the motif, which is counted exactly"
    if key == "label":
        rewards = "\n  - {use: contrastive-distance, features: {use: graph-shape}}"
        why = "is nearer in shape to retained graphs than to what the model sampled before"
    if connected:
        rewards += "\n  - {use: connected, weight: 100}"
        why += "; above all it must be connected, as all these graphs are"
    words = {"data": drafting.block(given), "rewards": rewards, "why": why}
    return _draft(name, model, found, "graphs", "graph-generator", taught, len(full) - len(forget), words)


def _others(full: Any, forgotten: str) -> list[tuple[str, int]]:
    counts = Counter(str(prompt.content) for prompt in full if prompt.content != forgotten)
    return counts.most_common(5)


def _of_nodes(name: str, model: str | None, source: drafting.Chosen) -> Draft:
    example = f"'{{from: {source.path}, where: {{label: 3}}}}', or 'where: {{mask: forget_mask}}'"
    said = source.column(("label", "mask"), example)
    given = {"use": "node-file", "path": str(source.path)}
    given |= {f"forget_{said[0]}": said[1]} if said else {}
    given |= source.fields
    data = _validated(NodeFile, given)
    network, forget, retain = data.network(), data.load("forget"), data.load("retain")
    labels = len({label for label in network.labels if label >= 0})
    edges = {*network.edges} if network.directed else {frozenset(edge) for edge in network.edges}
    what = f"those of the {said[0]} {said[1]}" if said else f"a share of {data.forget_share} of all"
    found = [
        f"nodes of {source.path}: {len(network.labels)} with {len(network.features[0])} features, "
        f"{len(edges)} edges, {labels} labels",
        f"to forget: {what}, {len(forget)} nodes; {len(retain)} are retained and {len(data.load('test'))} "
        "held out",
        f"model: {f'{model}, an exported classifier' if model else 'taught by the recipe: 200 steps'}",
    ]
    taught = {"steps": 200, "learning_rate": 1e-2}
    words = {"data": drafting.block(given)}
    return _draft(name, model, found, "nodes", "node-classifier", taught, len(retain), words)


def _draft(
    name: str,
    model: str | None,
    found: list[str],
    what: str,
    use: str,
    taught: Mapping[str, Any],
    num_retain: int,
    words: Mapping[str, Any],
) -> Draft:
    """Fill in what recipes for graphs and for nodes share."""
    text = Path(__file__).with_name(f"draft_{what}.yaml.txt").read_text(encoding="utf-8")
    other = {"use": use, "teach": {"split": "retain", **taught}}
    recipe = Template(text).substitute(
        name=name,
        file=f"{name}.yaml",
        model=drafting.flow({"use": use, **({"path": model, "teach": None} if model else {"teach": taught})}),
        trained="It was exported by a run, and is opened as it is"
        if model
        else "It is taught first, and the result is cached",
        retain="all" if num_retain <= MOST_RETAIN else MOST_RETAIN,
        baselines="{}" if model else f"\n    never trained on it: {drafting.flow(other)}",
        compared="Name a model that was never trained on it under 'baselines' to compare with"
        if model
        else "They are compared with a model that was never trained on what is to be forgotten",
        **words,
    )
    return Draft(found, recipe)


def _validated(kind: type[Data], given: Mapping[str, Any]) -> Data:
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise CollapseError(f"--forget: {where}{': ' if where else ''}{first['msg']}") from None
