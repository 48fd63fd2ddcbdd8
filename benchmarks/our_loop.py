"""The parts of a recipe, called as the loop of collapse_core calls them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from benchmarks.columns import Draws
from benchmarks.material import Material
from collapse_core import Completion, Group, Kept, Prompt, State
from collapse_core.rubric import RubricBound
from collapse_llm.model.encoding import Encoder


class NotingEncoder(Encoder):
    """An encoder that notes how many tokens each text was decoded from."""

    def __init__(self, encoder: Encoder) -> None:
        """Encode and decode as the given one does."""
        super().__init__(encoder.tokenizer, encoder.prompt_format, encoder.max_length)
        self.num_tokens: dict[str, int] = {}

    def text(self, ids: Sequence[int]) -> str:
        """The text, noted."""
        text = super().text(ids)
        self.num_tokens[text] = len(ids)
        return text


class OurLoop:
    """One iteration by Generate, RougeDistance, BestOfN and Sft."""

    def __init__(self, material: Material) -> None:
        """Take the recipe's parts; the run is at its first iteration."""
        self.material, self.recipe, self.model = material, material.recipe, material.model
        self.encoder = NotingEncoder(self.model.encoder)
        self.model.encoder = self.encoder
        references = {key: Completion(text) for key, text in material.references.items()}
        self.state = State(references=references)

    @contextmanager
    def running(self) -> Iterator[Any]:
        """The module, or its copy in the computing precision."""
        with self.model.for_inference() as module:
            pass
        yield module

    def greedy(self, prompts: Sequence[Prompt]) -> list[Draws]:
        """As the references are made."""
        answers = self.recipe.sampler.sample_references(self.model, _asked(prompts), self.material.iteration)
        groups = [Group(prompt, (answer,)) for prompt, answer in zip(prompts, answers, strict=True)]
        return [self._with_lengths(group) for group in groups]

    def sample(self, prompts: Sequence[Prompt], num_completions: int) -> list[Draws]:
        """By the sampler, which may leave unfinished what can no longer win."""
        bound = RubricBound(self.recipe.rubric, self.recipe.filter, self.state)
        groups = self.recipe.sampler.sample(
            self.model, _asked(prompts), num_completions, self.material.iteration, bound
        )
        return [self._with_lengths(group) for group in groups]

    def _with_lengths(self, group: Group) -> Draws:
        return Draws(group, tuple(self._num_tokens(group, one) for one in group.completions))

    def _num_tokens(self, group: Group, one: Completion) -> int:
        """The tokens of an answer, and its end unless it was cut off."""
        num = self.encoder.num_tokens[one.content]
        longest: int = self.recipe.sampler.max_new_tokens  # type: ignore[attr-defined]
        room = min(longest, self.encoder.max_length - len(self.encoder.prompt(group.prompt.content)))
        return num + (one.finished and num < room)

    def score(self, draws: Sequence[Draws]) -> list[Kept]:
        """By the rubric and the filter."""
        groups = [
            self.recipe.rubric.score(one.group, self.state.references[one.group.prompt.id]) for one in draws
        ]
        return self.recipe.filter.keep(groups, self.state.incumbents, self.material.iteration)

    def prepare(self, kept: Sequence[Kept], retain: Sequence[Prompt]) -> None:
        """Nothing."""

    def update(self, kept: Sequence[Kept], retain: Sequence[Prompt]) -> None:
        """By the updater."""
        self.recipe.updater.update(self.model, kept, retain, self.material.iteration)


def _asked(prompts: Sequence[Prompt]) -> list[Prompt]:
    """The questions alone, as a run hands them out."""
    return [prompt.without_target() for prompt in prompts]
