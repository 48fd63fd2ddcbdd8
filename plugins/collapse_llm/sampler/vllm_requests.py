"""What is asked of vLLM, in this process or of a server: prompts as tokens, a seed for each answer."""

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol

from collapse_core import CollapseError, Completion, Group, Iteration, Model, Prompt, derive_seed, require
from collapse_llm.model.language_model import LanguageModel
from collapse_llm.sampler import Sampling


class Engine(Protocol):
    """Who answers: vLLM in some place."""

    def generate(
        self,
        model: LanguageModel,
        prompts: Sequence[list[int]],
        params: Sequence[Mapping[str, Any]],
        version: int,
    ) -> list[list[int]]:
        """Return the tokens of an answer to each prompt, by the model as it is now.

        Args:
            model: The model, whose adapter is passed on.
            prompts: The tokens of each prompt.
            params: What vLLM calls sampling parameters, per prompt.
            version: The version of the policy.
        """


Opens = Callable[[LanguageModel], Engine]
"""Gives the engine for a model; called where there is something to ask."""


def sample_answers(
    settings: Sampling,
    opens: Opens,
    model: Model,
    prompts: Sequence[Prompt],
    num_completions: int,
    iteration: Iteration,
) -> list[Group]:
    """Return groups of answers, in the order of the prompts."""
    choice = {
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "top_k": settings.top_k or 0,  # 0 is all
        "min_p": settings.min_p,
    }
    # A derived seed has 63 bits, and vLLM takes 64 with a sign.
    choices = [
        [
            choice | {"seed": derive_seed(iteration.seed, prompt.id, number)}
            for number in range(num_completions)
        ]
        for prompt in prompts
    ]
    answers = iter(_answers(settings, opens, model, prompts, choices, iteration))
    return [
        Group(
            prompt,
            tuple(
                Completion(text, n, iteration.number, num_tokens=num, cut=cut and not settings.end_where_cut)
                for n, (text, num, cut) in enumerate(islice(answers, num_completions))
            ),
        )
        for prompt in prompts
    ]


def greedy_answers(
    settings: Sampling, opens: Opens, model: Model, prompts: Sequence[Prompt], iteration: Iteration
) -> list[str]:
    """Return the greedy answer to each prompt, which vLLM gives at a temperature of 0."""
    greedy = [[{"temperature": 0.0}] for _ in prompts]
    return [text for text, *_ in _answers(settings, opens, model, prompts, greedy, iteration)]


def _answers(
    settings: Sampling,
    opens: Opens,
    model: Model,
    prompts: Sequence[Prompt],
    choices: Sequence[Sequence[Mapping[str, Any]]],
    iteration: Iteration,
) -> list[tuple[str, int, bool]]:
    """Return one answer per choice, its number of tokens and whether it has no end, prompt by prompt."""
    language = require(model, LanguageModel, settings.use)
    _require_adapter(settings, language)
    asked: list[list[int]] = []
    params: list[Mapping[str, Any]] = []
    for prompt, own in zip(prompts, choices, strict=True):
        wanted = min(settings.max_new_tokens, language.encoder.max_length // 2)
        ids = language.encoder.fitted(language.encoder.prompt(prompt.content), wanted)
        common = {
            "max_tokens": min(settings.max_new_tokens, _room(language, prompt, ids)),
            "stop_token_ids": sorted(language.end_ids),
        }
        asked += [ids for _ in own]
        params += [{**common, **choice} for choice in own]
    answers = opens(language).generate(language, asked, params, iteration.number) if asked else []
    said = [[id_ for id_ in ids if id_ not in language.end_ids] for ids in answers]
    cut = [language.end_ids.isdisjoint(ids) for ids in answers]
    return [(language.encoder.text(ids), len(ids), no_end) for ids, no_end in zip(said, cut, strict=True)]


def _room(model: LanguageModel, prompt: Prompt, ids: Sequence[int]) -> int:
    room = model.encoder.max_length - len(ids)
    if room < 1:
        raise CollapseError(
            f"the prompt {prompt.id!r} has {len(ids)} tokens, which leaves no room for an answer; "
            f"give the model a max_length above that (it is {model.encoder.max_length})"
        )
    return room


def _require_adapter(settings: Sampling, model: LanguageModel) -> None:
    if not hasattr(model.module, "peft_config"):
        raise CollapseError(
            f"the sampler '{settings.use}' takes what is trained as an adapter, and this model trains all "
            "its weights; set model.lora (for instance to {rank: 16}), or write 'sampler: {use: generate}'"
        )
