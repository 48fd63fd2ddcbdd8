"""What cards say of an exported language model."""

import os
from pathlib import Path

from collapse_core import ExportedModel, files
from collapse_llm.model.weights import PACKAGED, TINY

ON_THE_HUB = {"smollm2-135m-instruct": "HuggingFaceTB/SmolLM2-135M-Instruct"}
"""The hub's ids of the models that come as packages."""
TOKENIZER = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "chat_template.jinja",
)
WHOLE = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "model-*.safetensors",
    "model.safetensors.index.json",
    "preprocessor_config.json",
)
ADAPTER = ("adapter_config.json", "adapter_model.safetensors")

LOAD_WHOLE = """\
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("{}")
tokenizer = AutoTokenizer.from_pretrained("{}")
"""
LOAD_ADAPTER = """\
from peft import AutoPeftModelForCausalLM

model = AutoPeftModelForCausalLM.from_pretrained("{}")
"""


def describe(directory: Path, path: str) -> ExportedModel | None:
    """Return what a card says of an exported model.

    Args:
        directory: Where it was exported to.
        path: What the recipe calls the model that it was made from.

    Returns:
        None where the directory holds no such model.
    """
    if (directory / "adapter_config.json").exists():
        return ExportedModel(
            library="peft",
            task="text-generation",
            load=LOAD_ADAPTER,
            files=ADAPTER + TOKENIZER,
            base_model=_hub_id(path),
            relation="adapter",
            holds_base=True,
        )
    if not (directory / "config.json").exists():
        return None
    config = files.read_json(directory / "config.json")
    return ExportedModel(
        library="transformers",
        task="text-generation",
        load=LOAD_WHOLE,
        files=WHOLE + TOKENIZER,
        architecture=next(iter(config.get("architectures") or ()), ""),
        family=str(config.get("model_type", "")),
        base_model=_hub_id(path),
    )


def _hub_id(path: str) -> str | None:
    """The hub's id of what a recipe calls a model; None for directories and for what is nowhere else."""
    if path in PACKAGED:
        return ON_THE_HUB.get(path)
    is_local = path == TINY or path.startswith(("/", ".", "~")) or Path(os.path.expanduser(path)).is_dir()
    return None if is_local or path.count("/") > 1 else path
