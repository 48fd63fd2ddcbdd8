"""Which rows are to be forgotten, kept, and held out."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from collapse_core import CollapseError
from collapse_core.testing import check_dataset
from collapse_tabular.data import Adult, BreastCancer, Condition, Iris, TableFile, Wine, all_hold

ROW = {"age": 61, "education": "Doctorate", "income": ">50K"}


@pytest.mark.parametrize(
    ("column", "op", "value", "holds"),
    [
        ("age", ">", 60, True),
        ("age", ">=", 61, True),
        ("age", "<", 61, False),
        ("age", "<=", 61.0, True),
        ("age", "!=", 61, False),
        ("education", "==", "Doctorate", True),
        ("education", "in", ["Masters", "Doctorate"], True),
        ("education", "not in", ["Masters"], True),
        ("income", "==", "__import__('os').abort()", False),
    ],
)
def test_a_condition_compares_and_runs_nothing(column, op, value, holds):
    assert Condition(column=column, op=op, value=value).holds(ROW) is holds


def test_conditions_hold_together():
    doctor, old = Condition(column="education", value="Doctorate"), Condition(column="age", op=">", value=70)
    assert all_hold([doctor], ROW)
    assert not all_hold([doctor, old], ROW)


@pytest.mark.parametrize(
    "given", [{"op": "in", "value": 3}, {"op": "==", "value": [3]}, {"op": "~", "value": 3}]
)
def test_a_condition_that_makes_no_sense_is_refused_when_it_is_read(given):
    with pytest.raises(ValidationError):
        Condition(column="age", **given)


def test_a_condition_that_does_not_fit_the_rows_says_so():
    with pytest.raises(CollapseError, match="names the column 'wealth', which the rows do not have"):
        Condition(column="wealth", value=1).holds(ROW)
    with pytest.raises(CollapseError, match="give a number for a column of numbers"):
        Condition(column="education", op="<", value=3).holds(ROW)


@pytest.mark.parametrize("kind", [Wine, Iris, BreastCancer])
def test_a_shipped_table_keeps_the_promises_of_a_data_set(kind):
    check_dataset(kind(use=kind.__name__))


def test_the_splits_part_the_rows(table):
    splits = {split: {p.id for p in table.load(split)} for split in table.SPLITS if split != "forget"}
    assert splits["retain"] | splits["forget_examples"] == splits["full"]
    assert not splits["retain"] & splits["forget_examples"]
    assert not splits["full"] & splits["test"]
    assert len(splits["full"] | splits["test"]) == 400
    for prompt in table.load("forget_examples"):
        assert (prompt.target["trade"], prompt.target["town"]) == ("smith", "north")


def test_as_large_a_share_of_each_prompts_rows_is_held_out():
    counts = {
        split: len([p for p in Wine().load(split) if p.content == {"class": 1}]) for split in ("full", "test")
    }
    assert counts == {"full": 50, "test": 21}
    other = {p.id for p in Wine(split_seed=1).load("test")}
    assert other != {p.id for p in Wine().load("test")}


def test_a_forget_prompt_says_what_rows_of_the_subgroup_say_and_holds_no_row(table):
    forget = table.load("forget")
    assert len(forget) == 24
    assert {json.dumps(p.content) for p in forget} == {'{"trade": "smith", "town": "north"}'}
    assert forget[0].id == "trade=smith,town=north/0"
    assert all(p.target is None for p in forget)


def test_forget_prompts_come_in_the_proportions_of_the_subgroup(people):
    tall = TableFile.model_validate(
        {
            "path": str(people), "prompt": ["trade"], "predict": "income", "num_draws": 100,
            "forget": [{"column": "height", "op": ">", "value": 180}],
        }
    )  # fmt: skip
    rows = tall.load("forget_examples")
    smiths = sum(p.content["trade"] == "smith" for p in rows) / len(rows)
    asked = sum(p.content["trade"] == "smith" for p in tall.load("forget")) / 100
    assert 0.5 < smiths < 1
    assert asked == pytest.approx(smiths, abs=0.01)


def test_the_measurements_are_drawn_and_the_class_is_said(wine):
    row = wine.load("retain")[0]
    assert row.content.keys() == {"class"}
    assert len(row.target) == 13
    assert "class" not in row.target


def test_where_nothing_is_said_the_class_is_drawn():
    row = Iris(prompt=[]).load("retain")[0]
    assert row.content == {}
    assert list(row.target)[-1] == "class"
    assert {prompt.content_key for prompt in Iris(prompt=[]).load("forget")} == {"{}"}
    with pytest.raises(ValidationError, match="Input should be 'class'"):
        Iris(prompt=["species"])


def test_as_a_control_all_training_rows_can_be_retained():
    others, everything = Iris(prompt=[]), Iris(prompt=[], retain="all")
    assert list(everything.load("retain")) == list(everything.load("full")) == list(others.load("full"))
    kept = {prompt.target["class"] for prompt in others.load("retain")}
    assert kept == {"setosa", "virginica"}
    assert others.load("forget_examples") == everything.load("forget_examples")


def test_a_file_whose_lines_differ_in_length_names_the_line(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n3\n")
    with pytest.raises(CollapseError, match=r"t\.csv:3: expected 2 values, found 1"):
        TableFile(path=str(path), prompt=["a"], predict="a", forget=[Condition(column="a", value=1)]).load(
            "full"
        )


def test_a_column_that_a_table_lacks_is_named(people):
    wrong = TableFile(
        path=str(people), prompt=["guild"], predict="income", forget=[Condition(column="town", value=1)]
    )
    with pytest.raises(CollapseError, match="has no column 'guild'; it has trade, town"):
        wrong.load("retain")
    with pytest.raises(ValidationError, match="did you mean 'education'"):
        Adult(prompt=["educatoin"])
    with pytest.raises(ValidationError, match="'income' cannot be dropped"):
        Adult(drop=["income"])


def test_a_class_that_there_is_not_is_refused():
    with pytest.raises(ValidationError, match="expected one of 0, 1, 2"):
        Wine(forget=3)


def test_a_table_without_its_file_says_so():
    with pytest.raises(CollapseError, match=r"nowhere\.csv: cannot be read: no such file"):
        Adult(path="nowhere.csv").load("forget")


ADULT = Path(__file__).resolve().parents[4] / "shared" / "data" / "tabular" / "adult.data"


@pytest.mark.slow
@pytest.mark.skipif(
    not ADULT.exists(), reason="the Adult table is not in a folder 'shared' beside the project"
)
def test_adult_has_its_people_and_its_doctors():
    adult = Adult(path=str(ADULT))
    assert len(adult.rows()) == 32561
    doctors = [row for row in adult.rows() if all_hold(adult.subgroup(), row)]
    assert len(doctors) == 306
    assert (
        len(adult.load("forget_examples"))
        + len([p for p in adult.load("test") if all_hold(adult.subgroup(), p.target)])
        == 306
    )
    row = adult.load("retain")[0].target
    assert "education-num" not in row
    assert type(row["age"]) is int
