"""A few questions, and a tiny model that has memorized those to forget."""

from pathlib import Path
from typing import Any

from collapse_core import Dataset, PromptSet
from collapse_llm.data import Authors
from collapse_llm.model import CausalLm, Teach
from collapse_llm.model.training import teach


class Few(Dataset):
    """The first questions of each split of the authors."""

    num: int = 6
    """How many."""

    def load(self, split: str, *, targets: bool = True) -> PromptSet:
        return PromptSet(Authors().load(split, targets=targets).prompts[: self.num])


def memorized(directory: Path, num: int, epochs: int) -> dict[str, Any]:
    """The weights after training on the first forget questions until they are memorized."""
    model: Any = CausalLm(path=str(directory), compute="float32").load(Authors(), 0)
    pairs = [(p.content, p.target) for p in Few(num=num).load("forget")]
    teach(model, pairs, Teach(epochs=epochs, learning_rate=5e-3, batch_size=num, warmup=0), 0)
    return dict(model.module.state_dict())
