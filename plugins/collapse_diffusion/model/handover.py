"""What cards say of an exported pipeline of diffusers."""

import os
from pathlib import Path

from collapse_core import ExportedModel, files

PIPELINE = (
    "model_index.json",
    "pipeline.py",
    "classes.json",
    "*/config.json",
    "*/scheduler_config.json",
    "*/preprocessor_config.json",
    "*/generation_config.json",
    "*/*.safetensors",
    "*/*.safetensors.index.json",
    "tokenizer*/*.json",
    "tokenizer*/*.txt",
    "tokenizer*/*.model",
)

LOAD = """\
from diffusers import DiffusionPipeline

pipeline = DiffusionPipeline.from_pretrained("{}")
"""
LOAD_OWN = """\
from diffusers import DiffusionPipeline

# This runs the model's pipeline.py.
pipeline = DiffusionPipeline.from_pretrained("{}", custom_pipeline="{}", trust_remote_code=True)
"""


def describe(directory: Path, path: str | None, task: str) -> ExportedModel | None:
    """Return what a card says of an exported pipeline.

    Args:
        directory: Where it was exported to.
        path: What the recipe calls the pipeline that it was made from; None where there was none.
        task: What it is for, by the hub's name of the task.

    Returns:
        None where the directory holds no pipeline.
    """
    index = directory / "model_index.json"
    if not index.exists():
        return None
    is_local = path is None or path.startswith(("/", ".", "~")) or Path(os.path.expanduser(path)).exists()
    name = files.read_json(index).get("_class_name")
    return ExportedModel(
        library="diffusers",
        task=task,
        load=LOAD_OWN if (directory / "pipeline.py").exists() else LOAD,
        files=PIPELINE,
        architecture=str(name[-1] if isinstance(name, list) else name or ""),
        family="diffusion",
        base_model=path if not is_local and path and path.count("/") == 1 else None,
    )
