"""What a domain says of its exported models, for those who get them."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """An exported model, as cards and bills of materials describe it."""

    library: str
    """What opens it, by the hub's name: "transformers", "peft", "diffusers", or another."""
    task: str
    """What it is for, by the hub's name of the task, such as "text-generation"."""
    load: str
    """Python code that opens it, with {} where its directory or its name on the hub goes."""
    files: tuple[str, ...]
    """Patterns of the files that it consists of, relative to the directory; no others are sent to the hub."""
    architecture: str = ""
    """The class of its network."""
    family: str = ""
    """The family of architectures that it belongs to."""
    base_model: str | None = None
    """The hub's id of the model that it was made from, where that is on the hub."""
    relation: Literal["finetune", "adapter"] = "finetune"
    """How it differs from that model."""
    holds_base: bool = False
    """Whether the model before unlearning is one line of code away, as it is for an adapter."""
