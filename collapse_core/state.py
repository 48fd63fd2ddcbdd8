"""What a run must remember between iterations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from collapse_core.types import Completion, Kept, Prompt


@dataclass(frozen=True)
class State:
    """The next iteration, the model's original answers, and the best completions so far."""

    iteration: int = 0
    references: Mapping[str, Completion] = field(default_factory=dict)
    """By prompt id: the model's own answer before unlearning."""
    incumbents: Mapping[str, Kept] = field(default_factory=dict)
    """By prompt id: the completion kept last, the best so far where the filter has a memory."""

    def advance(self, kept: Sequence[Kept]) -> "State":
        """The state after an iteration that kept these; of several for a prompt, the best stays."""
        best: dict[str, Kept] = {}
        for one in kept:
            if one.prompt.id not in best or one.reward > best[one.prompt.id].reward:
                best[one.prompt.id] = one
        return State(self.iteration + 1, self.references, {**self.incumbents, **best})

    def to_json(self) -> dict[str, Any]:
        """Plain data from which `from_json` makes the same state. True answers are left out."""
        return {
            "iteration": self.iteration,
            "references": {key: _row(value) for key, value in self.references.items()},
            "incumbents": {
                key: {
                    "prompt": {"id": value.prompt.id, "content": value.prompt.content},
                    "completion": _row(value.completion),
                    "reward": value.reward,
                    "settled": value.settled,
                }
                for key, value in self.incumbents.items()
            },
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], prompts: Mapping[str, Prompt]) -> "State":
        """The state that `to_json` wrote; incumbents get the run's own prompts, by id."""
        return cls(
            data["iteration"],
            {key: Completion(**value) for key, value in data["references"].items()},
            {
                key: Kept(
                    prompts.get(key) or Prompt(**value["prompt"]),
                    Completion(**value["completion"]),
                    value["reward"],
                    value["settled"],
                )
                for key, value in data["incumbents"].items()
            },
        )


def _row(completion: Completion) -> dict[str, Any]:
    """Its fields; the content, which is plain data already, is not copied."""
    return {one.name: getattr(completion, one.name) for one in fields(completion)}
