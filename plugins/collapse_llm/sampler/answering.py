"""Questions to answers, by the decoding engine."""

from collections.abc import Sequence

from collapse_core import Bound, Completion, Group, Iteration, Model, Prompt, derive_seed, require
from collapse_llm.model.decoding.choosing import Choice, Greedy, Nucleus
from collapse_llm.model.decoding.engine import decode
from collapse_llm.model.decoding.rows import Row
from collapse_llm.model.encoding import Encoder
from collapse_llm.model.language_model import LanguageModel
from collapse_llm.sampler import Generate
from collapse_llm.sampler.pruning import Candidate, EarlyStopping


def sample_answers(
    settings: Generate,
    model: Model,
    prompts: Sequence[Prompt],
    num_completions: int,
    iteration: Iteration,
    bound: Bound | None = None,
) -> list[Group]:
    """Return groups of answers, in the order of the prompts."""
    language = require(model, LanguageModel, settings.use)
    groups = []
    for prompt in prompts:
        seeds = [derive_seed(iteration.seed, prompt.id, number) for number in range(num_completions)]
        groups.append(_rows(language.encoder, prompt, seeds, settings.max_new_tokens))
        if bound and settings.prune:
            _stop_early(groups[-1], prompt, bound, language.encoder)
    choice = Nucleus(settings.temperature, settings.top_p, settings.top_k, settings.min_p)
    _decode(language, groups, choice, settings.batch_size)
    return [
        Group(
            prompt,
            tuple(
                Completion(
                    language.encoder.text(row.answer),
                    number,
                    iteration.number,
                    not row.dropped,
                    num_tokens=len(row.answer),
                    cut=not (row.complete or row.dropped or settings.end_where_cut),
                )
                for number, row in enumerate(rows)
            ),
        )
        for prompt, rows in zip(prompts, groups, strict=True)
    ]


def greedy_answers(
    model: Model, prompts: Sequence[Prompt], max_new_tokens: int, batch_size: int = 256, opening: str = ""
) -> list[str]:
    """Return the likeliest answer to each prompt, token by token.

    Args:
        model: A language model.
        prompts: What is asked.
        max_new_tokens: The longest answer.
        batch_size: How many are decoded at once.
        opening: What each answer is made to begin with; it is not returned.
    """
    language = require(model, LanguageModel, "greedy answers")
    first = language.encoder.tokenizer(opening, add_special_tokens=False).input_ids if opening else []
    groups = [_rows(language.encoder, prompt, [0], max_new_tokens, first) for prompt in prompts]
    _decode(language, groups, Greedy(), batch_size)
    return [language.encoder.text(row.answer) for [row] in groups]


def _rows(
    encoder: Encoder, prompt: Prompt, seeds: Sequence[int], max_new_tokens: int, opening: Sequence[int] = ()
) -> list[Row]:
    wanted = room_for_answer(encoder, max_new_tokens)
    ids = encoder.fitted([*encoder.prompt(prompt.content), *opening], wanted)
    room = min(max_new_tokens, encoder.room(ids))
    return [Row(ids, seed, room) for seed in seeds]


def room_for_answer(encoder: Encoder, max_new_tokens: int) -> int:
    """Return how many tokens a prompt must leave for its answer: half of the longest example at most."""
    return min(max_new_tokens, encoder.max_length // 2)


def _stop_early(rows: Sequence[Row], prompt: Prompt, bound: Bound, encoder: Encoder) -> None:
    """Let only those be finished that may still be kept, if the filter keeps none but the best."""
    least = bound.min_reward_to_keep(prompt)
    if least is not None:
        stopping = EarlyStopping(prompt, bound, least, encoder)
        for number, row in enumerate(rows):
            row.watcher = Candidate(stopping, number)


def _decode(model: LanguageModel, groups: Sequence[Sequence[Row]], choice: Choice, batch_size: int) -> None:
    with model.for_inference() as module:
        decode(module, groups, choice, model.end_ids, batch_size)
