"""What a run must remember between iterations."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from collapse_core.contracts.types import Completion, Kept, Prompt

Trouble = Literal["nothing_passes", "less_passes"]


@dataclass(frozen=True, slots=True)
class Watch:
    """What a guard remembers of the prompts of one content."""

    prompt: str
    """The id of the first of them, to name them by."""
    counts: tuple[tuple[int, int], ...] = ()
    """How many completions passed, of how many, in the last iterations in which any were drawn."""
    trouble: Trouble | None = None
    """What the guard found in the last iteration."""
    raised: int = 0
    """How often the guard has found trouble."""


@dataclass(frozen=True, slots=True)
class StopCheck:
    """What a run's stop condition found when it was last looked at."""

    iteration: int
    """How many iterations were done."""
    value: float | None
    """The number that is looked at; None where it could not be measured."""
    held: int
    """How many times in a row it has been found to have reached its value."""
    reached: bool
    """Whether that is often enough, so that the run stops."""


@dataclass(frozen=True)
class State:
    """The next iteration, the reference answers, and the best completions so far."""

    iteration: int = 0
    references: Mapping[str, Completion] = field(default_factory=dict)
    """By prompt id: what the model answered before unlearning, to what is to be forgotten, and to what is to
    be retained where that has no answer."""
    incumbents: Mapping[str, Kept] = field(default_factory=dict)
    """By prompt id: the completion kept last, the best so far where the filter has a memory."""
    watched: dict[str, Watch] = field(default_factory=dict)
    """By the content of prompts: what the guard remembers. The guard updates it in place."""
    stop_check: StopCheck | None = None
    """What the stop condition found last; None where there is none, or where it was never looked at."""

    @property
    def stops(self) -> bool:
        """Whether the stop condition is met, so that no iteration follows."""
        return self.stop_check is not None and self.stop_check.reached

    def advance(self, kept: Sequence[Kept]) -> "State":
        """The state after an iteration that kept these; of several for a prompt, the best stays."""
        best: dict[str, Kept] = {}
        for one in kept:
            if one.prompt.id not in best or one.reward > best[one.prompt.id].reward:
                best[one.prompt.id] = one
        return replace(self, iteration=self.iteration + 1, incumbents={**self.incumbents, **best})

    def tables(self) -> dict[str, Any]:
        """Plain data, and iterators over the rows of tables, from which `from_json` makes the same state.

        True answers are left out.
        """
        return {
            "iteration": self.iteration,
            "references": ((key, _row(value)) for key, value in self.references.items()),
            "incumbents": ((key, _kept_row(value)) for key, value in self.incumbents.items()),
            "watched": ((key, asdict(value)) for key, value in self.watched.items()),
            **({"stop_check": asdict(self.stop_check)} if self.stop_check else {}),
        }

    def to_json(self) -> dict[str, Any]:
        """The same as plain data alone."""
        return {
            key: dict(value) if isinstance(value, Iterator) else value for key, value in self.tables().items()
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], prompts: Mapping[str, Prompt]) -> "State":
        """The state that `to_json` gave; incumbents get the run's own prompts, by id."""
        return cls(
            data["iteration"],
            {key: Completion(**value) for key, value in data["references"].items()},
            {key: _kept(value, prompts.get(key)) for key, value in data["incumbents"].items()},
            {
                key: Watch(**{**value, "counts": tuple(map(tuple, value["counts"]))})
                for key, value in data.get("watched", {}).items()
            },
            StopCheck(**check) if (check := data.get("stop_check")) else None,
        )


def _kept_row(kept: Kept) -> dict[str, Any]:
    """Its fields without the true answer, which `_kept` takes from the run's own prompt."""
    against_target = kept.against is not None and kept.against == kept.prompt.target
    return {
        "prompt": {"id": kept.prompt.id, "content": kept.prompt.content},
        "completion": _row(kept.completion),
        "reward": kept.reward,
        "settled": kept.settled,
        "weight": kept.weight,
        "against": None if against_target else kept.against,
        "against_target": against_target,
    }


def _kept(row: Mapping[str, Any], known: Prompt | None) -> Kept:
    prompt = known or Prompt(**row["prompt"])
    against = prompt.target if row.get("against_target") else row.get("against")
    completion = Completion(**row["completion"])
    return Kept(prompt, completion, row["reward"], row["settled"], row.get("weight", 1.0), against)


def _row(completion: Completion) -> dict[str, Any]:
    """Its fields; the content, which is plain data already, is not copied."""
    return {one.name: getattr(completion, one.name) for one in fields(completion)}
