"""Classifiers of real rows: which prompt does a row answer?"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from collapse_tabular.data import Table
from collapse_tabular.data.vectors import Vectors

Row = Mapping[str, Any]
Family = Literal["logistic", "neighbors", "forest"]


def classifier(family: Family, seed: int) -> Any:
    """Return an untaught classifier of scikit-learn."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    if family == "logistic":
        return LogisticRegression(max_iter=1000)
    if family == "neighbors":
        return KNeighborsClassifier(n_neighbors=10)
    return RandomForestClassifier(n_estimators=200, oob_score=True, random_state=seed % 2**32)


@dataclass(frozen=True)
class RowJudge:
    """Tells by the columns that a prompt does not say which prompt a row answers."""

    vectors: Vectors
    model: Any

    @classmethod
    def fit(cls, data: Table, splits: Sequence[str], family: Family, seed: int) -> "RowJudge":
        """Learn from the real rows of some splits."""
        known = [prompt for split in splits for prompt in data.load(split)]
        rows = [prompt.target for prompt in known]
        vectors = Vectors.fit(rows, leave_out=data.said())
        asked = [json.dumps(prompt.content, sort_keys=True) for prompt in known]
        return cls(vectors, classifier(family, seed).fit(vectors.of(rows), asked))

    def contents(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """Return what the prompt of each row probably said."""
        return [json.loads(said) for said in self.model.predict(self.vectors.of(rows))] if rows else []

    def probabilities(self, rows: Sequence[Row], said: str) -> list[float] | None:
        """Return how probable it is that each row answers the prompt that says `said`, as sorted JSON.

        None when no row that was learned from answers that prompt.
        """
        if said not in self.model.classes_:
            return None
        place = list(self.model.classes_).index(said)
        found: list[float] = np.asarray(self.model.predict_proba(self.vectors.of(rows)))[:, place].tolist()
        return found
