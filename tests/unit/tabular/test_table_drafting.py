"""`collapse init recipe` looks at a table, and what it writes runs as it stands."""

import shutil

import pytest

from collapse_core import load_recipe

WHERE = "where: {trade: smith, town: north}"


@pytest.fixture
def here(people, tmp_path, monkeypatch):
    """The people with a column of ids, as a user has them."""
    monkeypatch.chdir(tmp_path)
    lines = people.read_text().splitlines()
    numbered = [f"{line},{'id' if i == 0 else f'P{i:04}x'}" for i, line in enumerate(lines)]
    (tmp_path / "people.csv").write_text("\n".join(numbered) + "\n")
    return tmp_path


@pytest.fixture
def draft(here, collapse_here):
    def draft(source, *more):
        return collapse_here("init", "recipe", "mine", "--forget", source, "--no-estimate", *more)

    return draft


def test_a_recipe_for_ones_own_table_can_be_run(draft, here, collapse_here):
    done = draft(f"{{from: people.csv, {WHERE}}}")
    assert (done.code, done.out) == (0, "collapse run mine.yaml\n"), done.err
    for said in (
        "table people.csv: 400 rows of 6 columns, 4 of texts and 2 of numbers",
        "to forget: trade=smith and town=north, ",
        "predicted column, to judge sampled rows by: income",
        "nearly every row has a text of its own: id",
        "taught on the table by the recipe: 600 steps of a network 64 wide",
    ):
        assert said in done.err, done.err
    assert all(block.startswith("#") for block in (here / "mine.yaml").read_text().split("\n\n"))
    recipe = load_recipe("mine.yaml")
    assert recipe.data.prompt == ["trade", "town"]
    assert [one.use for one in recipe.evaluate.with_] == [
        "table-forgetting",
        "table-quality",
        "table-privacy",
    ]
    assert recipe.evaluate.baselines["never trained on it"].teach.split == "retain"
    assert collapse_here("run", "mine.yaml", "--dry-run").code == 0


@pytest.mark.slow
def test_a_recipe_for_ones_own_table_runs_as_written_and_so_does_one_for_what_it_exported(
    draft, here, collapse_here
):
    assert draft(f"{{from: people.csv, {WHERE}}}").code == 0
    done = collapse_here("run", "mine.yaml", "--run-dir", "run")
    assert done.code == 0, done.err
    shutil.move("mine.yaml", "first.yaml")
    again = draft(f"{{from: people.csv, {WHERE}}}", "--model", "run/model")
    assert "model: run/model, an exported model of rows" in again.err
    assert load_recipe("mine.yaml").model.teach is None
    done = collapse_here("run", "mine.yaml", "--run-dir", "again", "--set", "iterations=1")
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("source", "more", "said"),
    [
        ("people.csv", (), "with a column of trade, town, height, children, income, id"),
        ("{from: people.csv, where: {town: west}}", (), "none of the 280 rows"),
        ("{from: people.csv, where: {county: west}}", (), "has no column 'county'; it has trade, "),
        (f"{{from: people.csv, {WHERE}, width: 3}}", (), "--forget: width: "),
        (f"{{from: people.csv, {WHERE}}}", ("--retain", "people.csv"), "leave out --retain"),
        (f"{{from: people.csv, {WHERE}}}", ("--model", "nowhere"), "no plugin knows"),
    ],
)
def test_what_cannot_be_drafted_says_why(source, more, said, draft, here):
    done = draft(source, *more)
    assert (done.code, said in done.err) == (1, True), done.err
    assert not (here / "mine.yaml").exists()
