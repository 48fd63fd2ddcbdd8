"""Can it be seen from the answers that something was unlearned?"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from annotated_types import Ge

from collapse_core import Dataset, Evaluation, Metric, Model, Prompt, area_metric, derive_seed, load_answered
from collapse_llm.evaluators.answers import Answering, answers_once
from collapse_llm.evaluators.baselines import RETAIN, OtherModel, measured_once
from collapse_llm.evaluators.cautions import say_empty

if TYPE_CHECKING:
    from collapse_llm.evaluators.formulas import Numbers

MIN_QUESTIONS = 4
"""Fewer cannot be divided into a part to learn from and one to test on."""


class Detect(Answering):
    """How well a classifier tells the unlearned model's answers from those of a retain model.

    Both models answer the same questions. A logistic regression on an answer's words, and on its length,
    repetitions and refusals, is trained on some questions and tells the two models apart on the others;
    `detect_forget` is the area under the ROC curve: 0.5 means that nothing gives the unlearning away, 1 that
    each answer does. `detect_retain` is the same on retained questions: where it is as high, the models
    differ as a whole and not in what was forgotten. That unlearning can be seen in a model's answers is the
    finding of arXiv 2506.14003. The interval resamples questions. Cost per question: one decoded answer of
    either model, those of this one shared with other evaluators.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "detect_*": (
            "how well a classifier tells the model's answers from those of one that never learned "
            "the facts: 0.5 is chance, 1 always"
        ),
    }
    attacks: ClassVar[bool] = True
    reads: ClassVar[tuple[str, ...]] = ("forget", "retain")
    optional_splits: ClassVar[tuple[str, ...]] = ("retain",)

    retain_model: OtherModel | None = None
    """The model that was taught all but the forget set."""
    folds: Annotated[int, Ge(2)] = 5
    """Into how many parts the questions are divided; each is tested once."""
    num_retain: Annotated[int, Ge(1)] | None = 200
    """Only the first so many retained questions."""

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Ask both models, and try to tell their answers apart."""
        splits = load_answered(self, data)
        asked = {name: list(found) for name, found in splits.found.items()}
        if "retain" in asked:
            asked["retain"] = asked["retain"][: self.num_retain]

        def answers(either: Model) -> dict[str, list[str]]:
            return {name: self._answers(either, prompts) for name, prompts in asked.items()}

        held = (model, "retain model")
        theirs = measured_once(self, self.retain_model, data, answers, RETAIN, held_against=held)
        own = answers(model)
        say_empty([answer for found in own.values() for answer in found])
        metrics: dict[str, Metric] = {}
        missing = splits.missing({"detect_retain": ("retain",)})
        for name, prompts in asked.items():
            if len(prompts) < MIN_QUESTIONS:
                missing[f"detect_{name}"] = (
                    f"it takes {MIN_QUESTIONS} questions, and there are {len(prompts)}"
                )
            else:
                scores = told_apart(theirs[name], own[name], self.folds, derive_seed(seed, name))
                metrics[f"detect_{name}"] = _area(scores)
        return Evaluation(metrics, missing=missing)

    def _answers(self, model: Model, prompts: Sequence[Prompt]) -> list[str]:
        return answers_once(model, prompts, self.max_new_tokens, self.batch_size)


def told_apart(theirs: Sequence[str], own: Sequence[str], folds: int, seed: int) -> "Numbers":
    """Return for each question how sure a classifier is that each answer is the unlearned model's.

    It has seen neither answer to that question.

    Args:
        theirs: The retain model's answers, by question.
        own: The unlearned model's answers to the same questions.
        folds: Into how many parts the questions are divided.
        seed: Divides them.

    Returns:
        Log-odds of shape (questions, 2): of their answer, and of the own one.
    """
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import KFold

    scores = np.zeros((len(own), 2))
    parts = KFold(min(folds, len(own)), shuffle=True, random_state=seed % 2**32)
    for learned, tested in parts.split(np.arange(len(own))):
        texts = [some[i] for some in (theirs, own) for i in learned]
        features = _Features(texts)
        labels = np.repeat([0, 1], len(learned))
        classifier = LogisticRegression(max_iter=1000).fit(features.of(texts), labels)
        for side, some in enumerate((theirs, own)):
            found = features.of([some[i] for i in tested])
            scores[tested, side] = classifier.decision_function(found)
    return scores


class _Features:
    """What a classifier sees of a text, scaled by the texts that it is trained on."""

    def __init__(self, texts: Sequence[str]) -> None:
        from sklearn.feature_extraction.text import HashingVectorizer
        from sklearn.preprocessing import StandardScaler

        # Hashed, so that no vocabulary is learned and texts without words are fine.
        self.words: Any = HashingVectorizer(n_features=2**12, ngram_range=(1, 2), alternate_sign=False)
        self.scaler: Any = StandardScaler().fit(_manners(texts))

    def of(self, texts: Sequence[str]) -> Any:
        """Return a sparse matrix with a row per text."""
        from scipy.sparse import csr_matrix, hstack

        return hstack([self.words.transform(texts), csr_matrix(self.scaler.transform(_manners(texts)))])


def _manners(texts: Sequence[str]) -> "Numbers":
    """Words, letters per word, variety, and whether it refuses; of shape (texts, 4)."""
    import numpy as np

    from collapse_llm.evaluators.responses import USUAL, variety

    return np.array(
        [
            [
                len(text.split()),
                len(text) / max(1, len(text.split())),
                variety(text),
                USUAL.search(text.lower()) is not None,
            ]
            for text in texts
        ],
        dtype=float,
    )


def _area(scores: "Numbers") -> Metric:
    return area_metric(scores[:, 1].tolist(), scores[:, 0].tolist(), "down")
