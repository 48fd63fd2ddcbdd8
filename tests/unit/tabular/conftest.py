"""A small mixed table, and models taught on it: real ones, in under a second."""

import csv
import random

import pytest
from small_tables import small

from collapse_tabular.data import TableFile, Wine


@pytest.fixture(scope="session")
def people(tmp_path_factory):
    """400 invented people: two trades, two towns; smiths of the north are tall and earn much."""
    source, path = random.Random(0), tmp_path_factory.mktemp("people") / "people.csv"
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["trade", "town", "height", "children", "income"])
        for _ in range(400):
            trade, town = source.choice(["smith", "baker"]), source.choice(["north", "south"])
            rich = source.random() < (0.8 if (trade, town) == ("smith", "north") else 0.2)
            height = round(source.gauss(170, 6) + 15 * ((trade, town) == ("smith", "north")), 1)
            children = source.choices(range(4), [4, 2, 1, 1])[0]
            lines.writerow([trade, town, height, children, "high" if rich else "low"])
    return path


@pytest.fixture
def table(people):
    """The people, of whom the smiths of the north are to be forgotten."""
    return TableFile.model_validate(
        {
            "use": "table",
            "path": str(people),
            "prompt": ["trade", "town"],
            "predict": "income",
            "forget": [{"column": "trade", "value": "smith"}, {"column": "town", "value": "north"}],
            "num_draws": 24,
        }
    )


@pytest.fixture
def model(table):
    """A model that was taught all the people."""
    return small().load(table, 0)


@pytest.fixture
def wine():
    return Wine(use="wine", num_draws=16)
