"""docs/science.md names the tests that hold its claims; a test that was renamed leaves no claim behind."""

import re
from pathlib import Path

HERE = Path(__file__).parent
SCIENCE = HERE.parents[2] / "docs" / "science.md"


def test_every_test_that_the_science_page_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", SCIENCE.read_text()))
    defined = set(
        re.findall(r"^def (test_\w+)", "\n".join(p.read_text() for p in HERE.glob("test_*.py")), re.M)
    )
    files = {path.stem for path in HERE.glob("test_*.py")}
    assert named
    assert named <= defined | files


def test_every_toy_recipe_is_on_the_science_page() -> None:
    recipes = {path.name for path in (HERE.parents[2] / "recipes" / "toy").glob("*.yaml")}
    assert {name for name in recipes if name in SCIENCE.read_text()} == recipes
