"""A recipe for a diffusion model of classes and a folder of images, from a look at both."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from pydantic import ValidationError

from collapse_core import CollapseError, Draft, drafting, files
from collapse_diffusion.data import ImageFolder
from collapse_diffusion.data.folder import entries, places

LARGE = 64
"""Sides above this many pixels get fewer images in each iteration and step."""
FEW_WEIGHTS = 1_000_000
"""Below so many weights a network is trained at a higher rate."""
MOST_RETAIN = 1000
"""Images to retain of an iteration, where there are as many."""
MOST_NAMED = 10
"""How many classes are named."""

RECIPE = Template(Path(__file__).with_name("draft.yaml.txt").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class _Network:
    """What a pipeline's directory says."""

    kind: str
    size: tuple[int, int]
    """Height and width of its images."""
    color: bool
    embedded: int | None
    """How many class embeddings there are; None for a model without classes."""
    classes: Sequence[str]
    """Their names, where the directory has them."""
    num_weights: int


def draft_recipe(name: str, model: str | None, sources: Mapping[str, Any]) -> Draft | None:
    """Look at a pipeline of diffusers and at images; None where the model is of another kind.

    Raises:
        CollapseError: Either cannot be read, or it is not said which classes are to be forgotten.
    """
    index = Path(model or "") / "model_index.json"
    source = drafting.chosen(sources)
    if not model or source is None or not index.is_file():
        return None
    drafting.refuse_others(sources, "images")
    network = _network(Path(model), files.read_json(index))
    return _drafted(name, model, network, source)


def _network(folder: Path, index: Mapping[str, Any]) -> _Network:
    kinds = {key: part[1] for key, part in index.items() if isinstance(part, list) and part[1]}
    weights = sum(file.stat().st_size for file in folder.rglob("*.safetensors")) // 4
    named = [str(one) for one in files.read_json(folder / "classes.json")] if _names(folder) else []
    if kinds.get("unet") == "UNet2DModel" and not {"vae", "vqvae"} & kinds.keys():
        config = files.read_json(folder / "unet" / "config.json")
        color = config["in_channels"] == 3
        return _Network(
            "UNet2DModel", _pair(config["sample_size"]), color, config["num_class_embeds"], named, weights
        )
    if kinds.get("transformer") == "DiTTransformer2DModel":
        config = files.read_json(folder / "transformer" / "config.json")
        vae = files.read_json(folder / "vae" / "config.json")
        height, width = _pair(config["sample_size"])
        scale = 2 ** (len(vae["block_out_channels"]) - 1)
        said = [alias.strip() for text in (index.get("id2label") or {}).values() for alias in text.split(",")]
        size, num = (height * scale, width * scale), config["num_embeds_ada_norm"]
        return _Network("DiTTransformer2DModel", size, True, num, named or said, weights)
    raise CollapseError(
        f"{folder} holds a {index.get('_class_name', 'pipeline')} of {', '.join(kinds.values())}; recipes "
        "are drafted for a UNet2DModel in pixels and a DiT; for text to image 'collapse init recipes' writes "
        "paper/diffusion_sd15.yaml"
    )


def _names(folder: Path) -> bool:
    return (folder / "classes.json").is_file()


def _pair(size: int | Sequence[int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _drafted(name: str, model: str, network: _Network, source: drafting.Chosen) -> Draft:
    column = str(source.fields.get("label", "label"))
    found = entries(places(source.path).train, column, "images of classes")
    counts = Counter(str(entry.said) for entry in found)
    said = source.column((column,), f"'{{from: {source.path}, where: {{{column}: CLASS}}}}'")
    if said is None:
        raise CollapseError(
            f"{source.path} holds images of {len(counts)} classes; say which are to be forgotten: --forget "
            f"'{{from: {source.path}, where: {{{column}: CLASS}}}}', with one or a list of {_some(counts)}"
        )
    height, width = network.size
    given = {
        "use": "image-folder",
        "path": str(source.path),
        "forget": said[1] if isinstance(said[1], list) else [said[1]],
        "size": height if height == width else [height, width],
        "color": network.color,
        "num_draws": 48 if max(network.size) <= LARGE else 16,
        **source.fields,
    }
    try:
        data = ImageFolder.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise CollapseError(f"--forget: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    taken = [prompt.content for prompt in data.load("full", targets=False)]
    num_forget = sum(one in data.forget for one in taken)
    classes = _classes(model, network, sorted(counts))
    lines = [
        f"model {model}: {network.kind}, {network.num_weights / 1e6:.3g} M weights, {height}x{width} pixels "
        f"{'in color' if network.color else 'in gray'}, {_said_of(network, classes)}",
        f"images {source.path}: {len(taken)} to train on, of {len(counts)} classes: {_some(counts)}",
        f"to forget: {', '.join(data.forget)}, {num_forget} of them; images are brought to the model's size",
    ]
    return Draft(lines, _written(name, model, network, given, classes, len(taken) - num_forget))


def _classes(model: str, network: _Network, there: Sequence[str]) -> Sequence[str] | None:
    """The names of the embeddings for the recipe; None where the model has none, or has its own."""
    if network.embedded is None or {*there} <= {*network.classes}:
        return None
    if len(there) not in (network.embedded, network.embedded - 1):
        raise CollapseError(
            f"{model} has {network.embedded} class embeddings, and the images {len(there)} classes, so it is "
            "not known which is which; put their names, in the order of the embeddings, as a JSON list into "
            f"{model}/classes.json"
        )
    return there


def _said_of(network: _Network, classes: Sequence[str] | None) -> str:
    if network.embedded is None:
        return "without classes: every prompt samples alike"
    if classes is None:
        return f"{network.embedded} class embeddings, whose names it has"
    return (
        f"{network.embedded} class embeddings without names, which are taken for the classes of the images "
        "in alphabetical order"
    )


def _some(counts: Mapping[str, int]) -> str:
    more = f", and {len(counts) - MOST_NAMED} more" if len(counts) > MOST_NAMED else ""
    return ", ".join(sorted(counts)[:MOST_NAMED]) + more


def _written(
    name: str,
    model: str,
    network: _Network,
    data: Mapping[str, Any],
    classes: Sequence[str] | None,
    num_retain: int,
) -> str:
    """The recipe, with what was chosen."""
    large = max(network.size) > LARGE
    named = {"classes": list(classes)} if classes else {}
    return RECIPE.substitute(
        name=name,
        file=f"{name}.yaml",
        data=drafting.block(data),
        model=drafting.block({"use": "class-diffusion", "path": model, "teach": None, **named}),
        classes="Its class embeddings have no names, and are taken for the classes in alphabetical order"
        if classes
        else "Its classes are known by their names",
        completions=4 if large else 8,
        rate="1e-3" if network.num_weights < FEW_WEIGHTS else "1e-4",
        batch=8 if large else 48,
        retain="all" if num_retain <= MOST_RETAIN else MOST_RETAIN,
    )
