"""Parquet files, columns that name rows, prompts that few rows share, and how diversity is measured."""

import datetime
import random

import pyarrow
import pyarrow.parquet
import pytest
from scipy.spatial.distance import pdist
from small_tables import FIRST, small

from collapse_core import CollapseError
from collapse_core.contracts.types import Group
from collapse_core.testing import check_dataset, numbered
from collapse_tabular.data import Condition, TableFile
from collapse_tabular.data.vectors import Vectors
from collapse_tabular.evaluators import TableForgetting, TablePrivacy, TableQuality
from collapse_tabular.evaluators.forgetting import _diversity
from collapse_tabular.model import RowDiffusion
from collapse_tabular.sampler import DrawRows
from collapse_tabular.updater import RowDenoising

NUM = 60
COLUMNS = {
    "g": ["abc"[i % 3] for i in range(NUM)],
    "y": [i % 2 == 0 for i in range(NUM)],
    "x": [None if i == 1 else i * 37 % 100 / 10 for i in range(NUM)],
    "day": [datetime.date(2024, 1, 1 + i % 5) for i in range(NUM)],
    "note": [None if i % 2 else "k" for i in range(NUM)],
}


@pytest.fixture
def table(tmp_path):
    """Write columns as CSV or Parquet, and return the table of them."""

    def make(columns, suffix="parquet", **fields):
        path = tmp_path / f"p.{suffix}"
        if suffix == "csv":
            rows = zip(*columns.values(), strict=True)
            path.write_text("\n".join(",".join(map(str, row)) for row in [tuple(columns), *rows]))
        else:
            pyarrow.parquet.write_table(pyarrow.table(columns), path)
        fields = {"prompt": ["g"], "predict": "y", "forget": [Condition(column="g", value="a")]} | fields
        return TableFile(use="table", path=str(path), num_draws=8, **fields)

    return make


def test_a_parquet_file_keeps_its_types_and_runs_through_sampling_training_and_reopening(table, tmp_path):
    data = table(COLUMNS)
    check_dataset(data)
    rows = data.rows()
    assert rows[0] == {
        "g": "a", "y": "True", "x": 0.0, "day": "2024-01-01", "note": "k", "x missing": "no",
    }  # fmt: skip
    median = sorted(x for x in COLUMNS["x"] if x is not None)[29]
    assert (rows[1]["x"], rows[1]["x missing"], rows[1]["note"]) == (median, "yes", "")
    assert data.provenance()["p.parquet"]
    model = small(teach={"steps": 20}).load(data, 0)
    groups = DrawRows().sample(model, list(data.load("forget"))[:4], 2, FIRST)
    kept = [Group(g.prompt, numbered([g.completions[0].content]), (1.0,)).keep(0) for g in groups]
    RowDenoising(steps=2, batch_size=8).update(model, kept, list(data.load("retain"))[:9], FIRST)
    model.export(tmp_path)
    again = RowDiffusion(path=str(tmp_path), teach=None, device="cpu").load(data, 0)
    asked = list(data.load("forget"))[:2]
    one, other = (DrawRows().sample(m, asked, 2, FIRST) for m in (model, again))
    assert one == other


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"x": [float("inf")] + [1.0] * 59}, r"p\.parquet:1: the column 'x' has an infinite number"),
        ({"x": [[1, 2]] * 60}, r"p\.parquet:1: the column 'x' has a list in a cell"),
    ],
)
def test_cells_of_parquet_that_are_no_values_are_named(columns, said, table):
    with pytest.raises(CollapseError, match=said):
        table(COLUMNS | columns).load("full")


def test_a_file_that_is_no_parquet_is_said_to_be_none(table):
    data = table(COLUMNS)
    with open(data.path, "w") as file:
        file.write("g,y\na,b\n")
    with pytest.raises(CollapseError, match=r"p\.parquet: cannot be read as Parquet"):
        data.load("full")


IDS = [f"id-{i * 7919 % 100003}" for i in range(NUM)]


def test_a_column_that_names_rows_is_refused_by_name_or_dropped_or_merged(table):
    with pytest.raises(
        CollapseError, match="the column 'id' has 60 different texts in 60 rows: it names rows"
    ):
        table(COLUMNS | {"id": IDS}).load("retain")
    assert "id" not in table(COLUMNS | {"id": IDS}, drop=["id"]).rows()[0]
    mixed = ["often"] * 6 + IDS[6:]
    merged = table(COLUMNS | {"id": mixed}, rare=3)
    assert {row["id"] for row in merged.rows()} == {"often", "(rare)"}
    assert {row["g"] for row in merged.rows()} == set("abc")
    assert merged.provenance()["rare"] == {"id": 54}


def test_many_columns_of_many_texts_are_refused_together(table):
    many = {f"c{n}": [f"{n}-{i % 400}" for i in range(900)] for n in range(13)}
    rows = {"g": list("abc") * 300, "y": list("no") * 450}
    with pytest.raises(
        CollapseError, match=r"5205 different ones in all, more than 5000; most are in 'c0' \(400\)"
    ):
        table(rows | many).load("retain")


def test_where_hardly_two_rows_share_a_prompt_rows_are_held_out_overall(table):
    columns = {
        "g": [i / 7 for i in range(NUM)],
        "y": ["yn"[i % 2] for i in range(NUM)],
        "x": list(range(NUM)),
    }
    few = table(columns, prompt=["g"], forget=[Condition(column="x", op=">", value=39)])
    assert len(few.load("test")) == 18
    model = small(teach={"steps": 3}).load(few, 0)
    for evaluator in (TableForgetting, TableQuality, TablePrivacy):
        found = evaluator(num_rows=10).evaluate(model, few, 0)
        assert all(metric.value == metric.value for metric in found.metrics.values())


def test_a_share_that_holds_out_no_row_is_refused_before_anything_is_taught(table):
    with pytest.raises(CollapseError, match=r"'holdout: 0\.001' holds out 0 of 60 rows"):
        table(COLUMNS, holdout=0.001).load("retain")


def test_diversity_is_the_mean_over_all_pairs_and_does_not_depend_on_the_order_of_the_file(table):
    x = sorted(random.Random(0).gauss(0, 1) for _ in range(90))
    columns = {"g": ["ab"[i >= 80] for i in range(90)], "y": ["yn"[i % 2] for i in range(90)], "x": x}
    data = table(columns, forget=[Condition(column="g", value="b")])
    real = [prompt.target for prompt in data.load("retain")]
    assert _diversity(data, real, 0) == pytest.approx(1.0)
    vectors = Vectors.fit(real)
    wanted = pdist(vectors.of(real[:20])).mean() / pdist(vectors.of(real)).mean()
    assert _diversity(data, real[:20], 0) == pytest.approx(wanted)
    assert _diversity(data, random.Random(1).sample(real[:20], 20), 0) == pytest.approx(wanted)
