"""Answers that are made to begin in a certain way."""

from collections.abc import Sequence
from dataclasses import dataclass

from collapse_core import Prompt, derive_seed
from collapse_llm.evaluators.attacks import Leakage
from collapse_llm.model.decoding.choosing import Nucleus
from collapse_llm.model.decoding.engine import decode
from collapse_llm.model.decoding.rows import Row
from collapse_llm.model.encoding import Encoder
from collapse_llm.model.language_model import LanguageModel


@dataclass(frozen=True, slots=True)
class Opened:
    """A question whose answer has begun."""

    prompt: Prompt
    opening: list[int]
    """The tokens that the answer is made to begin with."""


def opened(encoder: Encoder, prompt: Prompt, prefill: str) -> Opened:
    """Return an answer that begins with a text.

    Its last space is left to the model: in most vocabularies a space belongs to the word after it, and a
    model that is given it alone is at a loss, which would be taken for having forgotten.
    """
    text = prefill.rstrip()
    return Opened(prompt, encoder.answer(text) if text else [])


def opened_truly(encoder: Encoder, prompt: Prompt, num_tokens: int) -> tuple[Opened, str]:
    """Return an answer that begins as the true one does, half of it at most, and the rest of the true one."""
    ids = encoder.answer(prompt.target)
    num = min(num_tokens, len(ids) // 2)
    return Opened(prompt, ids[:num]), encoder.growth(ids[:num], ids[num:]).strip()


def sample_continuations(
    settings: Leakage, model: LanguageModel, asked: Sequence[Opened], seed: int
) -> list[list[str]]:
    """Draw `num_samples` continuations of each; what the model was made to say is not in them."""
    encoder = model.encoder
    groups = []
    for one in asked:
        ids = [*encoder.prompt(one.prompt.content), *one.opening]
        room = min(settings.max_new_tokens, encoder.room(ids))
        seeds = [derive_seed(seed, one.prompt.id, number) for number in range(settings.num_samples)]
        groups.append([Row(ids, row_seed, room) for row_seed in seeds])
    with model.for_inference() as module:
        choice = Nucleus(settings.temperature, settings.top_p)
        decode(module, groups, choice, model.end_ids, settings.batch_size)
    return [
        [_said(encoder, one.opening, row.answer) for row in rows]
        for one, rows in zip(asked, groups, strict=True)
    ]


def _said(encoder: Encoder, opening: Sequence[int], answer: Sequence[int]) -> str:
    """Return what the model says after its opening, without the tag of an answer that it begins itself."""
    said = encoder.growth(opening, answer)
    return (said if opening else encoder.untagged(said)).strip()
