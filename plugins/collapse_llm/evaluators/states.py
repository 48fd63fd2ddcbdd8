"""Hidden states of a language model, and what can be read off them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from collapse_core import CollapseError, Model, Prompt, require
from collapse_llm.evaluators.fact_words import own_words
from collapse_llm.evaluators.formulas import Numbers
from collapse_llm.evaluators.perturbed import paraphrase, wrong_answers
from collapse_llm.model.encoding import Encoder, Example
from collapse_llm.model.language_model import LanguageModel
from collapse_llm.model.marks import reads_unpadded
from collapse_llm.words import spans, stems

ByDepth = Mapping[float, Sequence[float]]
"""By depth, a value for each question."""


@dataclass(frozen=True)
class Read:
    """What was read in one model."""

    lens: ByDepth
    """The mean log-probability of the fact's first tokens, in nats."""
    probe: ByDepth
    """100 where the probe ranks the true answer first, else 0."""
    chance: float
    """The percentage of questions that a guess gets right."""

    def columns(self) -> dict[str, ByDepth]:
        """Return both by name."""
        return {"lens": self.lens, "probe": self.probe}


def read(
    model: Model, prompts: Sequence[Prompt], depths: Sequence[float], folds: int, batch_size: int
) -> Read:
    """Read the hidden states of each question with its true answer and with its wrong ones.

    Args:
        model: A language model.
        prompts: Questions with wrong answers.
        depths: How far up the layers, in (0, 1].
        folds: Into how many parts the questions are divided for the probe.
        batch_size: How many answers are read at once.
    """
    language = require(model, LanguageModel, "depth")
    encoder = language.encoder
    texts = [list(dict.fromkeys([paraphrase(p), *wrong_answers(p)])) for p in prompts]
    asked = [(p, p.target) for p in prompts]
    asked += [(p, text) for p, some in zip(prompts, texts, strict=True) for text in some]
    examples = [encoder.example(p.content, text) for p, text in asked]
    places = [
        [example.answer_start - 1 + place for place in fact_places(encoder, prompt, example)]
        for prompt, example in zip(prompts, examples, strict=False)
    ]
    # The end of an answer is its last own token: what predicts the end, which all answers have.
    places += [[len(example.ids) - 2] for example in examples[len(prompts) :]]
    numbers = {depth: max(1, round(depth * language.module.config.num_hidden_layers)) for depth in depths}
    lens: dict[float, list[float]] = {depth: [] for depth in depths}
    ends: dict[float, list[Numbers]] = {depth: [] for depth in depths}
    with language.for_inference() as module:
        norm, output = _final_norm(module), module.get_output_embeddings()
        for i, found in enumerate(_hidden(module, examples, places, [*numbers.values()], batch_size)):
            for depth, number in numbers.items():
                states, is_normed = found[number]
                if i >= len(prompts):
                    ends[depth].append(states[0].double().cpu().numpy())
                    continue
                logits = output(states if is_normed else norm(states)).float().log_softmax(-1)
                said = torch.tensor([examples[i].ids[place + 1] for place in places[i]])
                own = logits.cpu().gather(-1, said[:, None])
                lens[depth].append(float(own.mean()))
    sizes = [len(some) for some in texts]
    ranked = {depth: ranked_first(np.stack(ends[depth]), sizes, folds) for depth in depths}
    return Read(lens, ranked, 100 * float(np.mean([1 / size for size in sizes])))


def fact_places(encoder: Encoder, prompt: Prompt, example: Example) -> list[int]:
    """Return which tokens of the true answer begin one of the fact's own words; all where it has none.

    Numbers count from the answer's first token; the end is none of them.
    """
    pieces = encoder.texts(example.ids[example.answer_start :])
    own, text, begins = own_words(prompt), "".join(pieces), np.cumsum([0, *map(len, pieces)])
    firsts = [
        start + next(i for i, c in enumerate(text[start:end]) if c.isalnum())
        for start, end in spans(text)
        if own & {*stems(text[start:end])}
    ]
    found = [int(np.searchsorted(begins, start, side="right")) - 1 for start in firsts]
    return sorted({place for place in found if place < len(pieces)}) or list(range(max(1, len(pieces) - 1)))


def ranked_first(states: Numbers, sizes: Sequence[int], folds: int) -> list[float]:
    """Return 100 for each question whose true answer a linear probe ranks first, else 0.

    The probe is trained on the other questions' answers: it tells the first of each from the rest.

    Args:
        states: Hidden states of the answers of all questions, the true one of each first.
        sizes: How many answers each question has.
        folds: Into how many parts the questions are divided.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    groups = np.repeat(np.arange(len(sizes)), sizes)
    labels = np.concatenate([[1, *[0] * (size - 1)] for size in sizes])
    scores = np.zeros(len(groups))
    # Strongly regularized: there are fewer answers than dimensions.
    for learned, tested in GroupKFold(min(folds, len(sizes))).split(states, labels, groups):
        probe = make_pipeline(
            StandardScaler(), LogisticRegression(C=0.01, class_weight="balanced", max_iter=1000)
        )
        scores[tested] = probe.fit(states[learned], labels[learned]).decision_function(states[tested])
    by_question = np.split(scores, np.cumsum(sizes)[:-1])
    return [100.0 * bool((one[0] > one[1:]).all()) for one in by_question]


def _hidden(
    module: Any,
    examples: Sequence[Example],
    places: Sequence[Sequence[int]],
    layers: Sequence[int],
    batch_size: int,
) -> Iterator[dict[int, tuple[torch.Tensor, bool]]]:
    """Yield for each example, by layer, its states at some places, and whether the final norm was applied.

    Layers count from 1; transformers gives the last one's states after the norm.
    """
    device = next(module.parameters()).device
    size = 1 if reads_unpadded(module) else batch_size
    for start in range(0, len(examples), size):
        batch = examples[start : start + size]
        length = max(len(example.ids) for example in batch)
        ids = torch.tensor([e.ids + [0] * (length - len(e.ids)) for e in batch], device=device)
        mask = torch.tensor([[1] * len(e.ids) + [0] * (length - len(e.ids)) for e in batch], device=device)
        found = module(
            input_ids=ids, attention_mask=mask, output_hidden_states=True, logits_to_keep=1, use_cache=False
        ).hidden_states
        for row, where in enumerate(places[start : start + size]):
            yield {layer: (found[layer][row, list(where)], layer == len(found) - 1) for layer in layers}


def _final_norm(module: Any) -> Any:
    """Return the norm behind the last layer: the last one that belongs to no layer.

    Raises:
        CollapseError: The model has none.
    """
    found = [
        part
        for name, part in module.named_modules()
        if "norm" in type(part).__name__.lower() and not any(piece.isdigit() for piece in name.split("."))
    ]
    if not found:
        raise CollapseError(
            f"the evaluator 'depth' does not find the final norm of a model of the type "
            f"'{module.config.model_type}'; leave it out"
        )
    return found[-1]
