"""How a model reads running text."""

from collections.abc import Sequence

import numpy as np
import torch

from collapse_core import Model, require
from collapse_llm.evaluators.formulas import Numbers
from collapse_llm.evaluators.scoring import TOKENS_AT_ONCE, answer_logits
from collapse_llm.model.encoding import Example
from collapse_llm.model.finite import not_finite
from collapse_llm.model.language_model import LanguageModel


def word_probabilities(
    model: Model, text: str, answers: Sequence[str], extent: tuple[int, int], batch_size: int
) -> list[Numbers]:
    """The probability of each token of a text that also occurs in the answers, given the tokens before it.

    Args:
        model: A language model.
        text: The text, cut into chunks from its beginning.
        answers: What the tokens are taken from.
        extent: How many chunks at most, and how many tokens each; a last, shorter one counts too.
        batch_size: How many chunks are read at once.

    Returns:
        By chunk, the probabilities at those places, in the order of the text.
    """
    language = require(model, LanguageModel, "text reading")
    wanted = {token for answer in answers for token in language.encoder.answer(answer)}
    chunks = _chunks(language, text, *extent)
    found: list[Numbers] = []
    with language.for_inference() as module:
        for start in range(0, len(chunks), batch_size):
            batch = [Example(ids, 1) for ids in chunks[start : start + batch_size]]
            logits, labels = answer_logits(module, batch, language.device)
            own = logits.gather(-1, labels[:, None])[:, 0].float()
            probs = (own - _log_totals(logits)).exp().cpu().double().numpy()
            if not np.isfinite(probs).all():
                raise not_finite(module)
            places = np.isin(labels.cpu().numpy(), sorted(wanted))
            ends = np.cumsum([example.num_labels for example in batch])[:-1]
            rows = zip(np.split(probs, ends), np.split(places, ends), strict=True)
            found += [row[where] for row, where in rows]
    return found


def _chunks(model: LanguageModel, text: str, num: int, length: int) -> list[list[int]]:
    # Tokens of text have a few characters: what lies much further back is not needed.
    ids = model.encoder.tokenizer(text[: 40 * num * length], add_special_tokens=False).input_ids
    chunks = [ids[start : start + length] for start in range(0, min(len(ids), num * length), length)]
    return [chunk for chunk in chunks if len(chunk) > 1]


def _log_totals(logits: torch.Tensor) -> torch.Tensor:
    """Return the logarithm of the softmax's denominator, without a float32 copy of all logits."""
    return torch.cat([rows.float().logsumexp(-1) for rows in torch.split(logits, TOKENS_AT_ONCE)])
