"""Questions to answers, by the decoding engine."""

from collections.abc import Sequence

from collapse_core import Completion, Group, Iteration, Model, Prompt, derive_seed
from collapse_llm.model.language_model import LanguageModel
from collapse_llm.sampler import Generate
from collapse_llm.sampler.choosing import Choice, Greedy, Nucleus
from collapse_llm.sampler.decoding import Row, decode


def sample_answers(
    settings: Generate, model: Model, prompts: Sequence[Prompt], num_completions: int, iteration: Iteration
) -> list[Group]:
    """Groups of answers, in the order of the prompts."""
    seeds = [
        [derive_seed(iteration.seed, prompt.id, number) for number in range(num_completions)]
        for prompt in prompts
    ]
    choice = Nucleus(settings.temperature, settings.top_p, settings.top_k, settings.min_p)
    texts = _answers(model, prompts, seeds, choice, settings.max_new_tokens, settings.batch_size)
    return [
        Group(
            prompt, tuple(Completion(text, number, iteration.number) for number, text in enumerate(answers))
        )
        for prompt, answers in zip(prompts, texts, strict=True)
    ]


def greedy_answers(
    model: Model, prompts: Sequence[Prompt], max_new_tokens: int, batch_size: int = 256
) -> list[str]:
    """The likeliest answer to each prompt, token by token."""
    seeds = [[0] for _ in prompts]
    return [text for [text] in _answers(model, prompts, seeds, Greedy(), max_new_tokens, batch_size)]


def _answers(
    model: Model,
    prompts: Sequence[Prompt],
    seeds: Sequence[Sequence[int]],
    choice: Choice,
    max_new_tokens: int,
    batch_size: int,
) -> list[list[str]]:
    assert isinstance(model, LanguageModel)
    encoder = model.encoder
    groups: list[list[Row]] = []
    for prompt, own in zip(prompts, seeds, strict=True):
        ids = encoder.prompt(prompt.content)
        room = max(1, min(max_new_tokens, encoder.max_length - len(ids)))
        groups.append([Row(ids, seed, room) for seed in own])
    with model.for_inference() as module:
        decode(module, groups, choice, model.end_ids, batch_size)
    return [[encoder.text(row.answer) for row in rows] for rows in groups]
