"""Fitting the toys to what was kept."""

from collections import Counter
from collections.abc import Sequence

from collapse_core import Iteration, Kept, Model, Prompt, Updater

from collapse_toy.model import Categorical


class CategoricalMle(Updater):
    """Refit the categories by maximum likelihood to kept draws and retain data together.

    With N draws and R retain balls the paper's alpha is R / N; `retain_weight` multiplies R.
    """

    retain_weight: float = 1.0
    """How much a retain ball counts beside a draw."""

    def update(
        self, model: Model, kept: Sequence[Kept], retain: Sequence[Prompt], iteration: Iteration
    ) -> dict[str, float]:
        """Count and normalize."""
        assert isinstance(model, Categorical)
        weights: Counter[str] = Counter(dict.fromkeys(model.probabilities, 0))
        weights.update(one.completion.content for one in kept)
        for prompt in retain:
            weights[prompt.target] += self.retain_weight  # type: ignore[assignment]
        model.fit(weights)
        return {}
