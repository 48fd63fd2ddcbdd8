"""Values go to codes and come back."""

import math
import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from collapse_core import CollapseError, Prompt
from collapse_tabular.model.codec import Codec
from collapse_tabular.model.columns import Categorical, Numeric, fit_columns, from_json, to_json
from collapse_tabular.model.diffusion import losses

SOURCE = random.Random(1)
HEIGHTS = [round(SOURCE.gauss(170, 8), 3) for _ in range(200)]
GAINS = [0] * 180 + [SOURCE.choice([114, 594, 99999]) for _ in range(20)]


@pytest.mark.parametrize("column", [HEIGHTS, GAINS], ids=["all different", "mostly zero"])
def test_codes_are_standardized_normal_quantiles_of_mid_ranks(column):
    ranks = (stats.rankdata(column, "average") - 0.5) / len(column)
    wanted = stats.zscore(stats.norm.ppf(ranks))
    assert Numeric.fit("x", column).encode(column) == pytest.approx(wanted, abs=1e-9)


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=60))
def test_every_known_value_comes_back(values):
    column = Numeric.fit("x", values)
    back = column.decode(column.encode(values))
    assert back == values
    assert all(type(value) is int for value in back)


def test_a_column_that_mostly_repeats_comes_back_as_known_values_only():
    column = Numeric.fit("gain", GAINS)
    codes = np.random.default_rng(0).normal(size=500) * 2
    assert set(column.decode(codes)) <= set(GAINS)


def test_other_columns_are_interpolated_and_rounded_as_their_values_are():
    column = Numeric.fit("height", HEIGHTS)
    found = column.decode(np.random.default_rng(0).normal(size=500))
    assert all(round(value, 3) == value for value in found)
    assert len(set(found) - set(HEIGHTS)) > 300
    assert min(HEIGHTS) <= min(found) <= max(found) <= max(HEIGHTS)


def test_a_long_column_is_remembered_by_a_thousand_quantiles():
    long = [i / 7 for i in range(5000)]
    column = Numeric.fit("x", long)
    assert len(column.values) == 1000
    assert column.decode(column.encode(long)) == pytest.approx(long, abs=2e-3)


def test_a_column_of_one_value_is_no_division_by_zero():
    column = Numeric.fit("x", [3, 3, 3])
    assert column.decode(np.asarray([-1.0, 0.0, 2.0])) == [3, 3, 3]


def test_texts_are_categories_and_too_many_of_them_are_refused():
    number, text = fit_columns([{"a": 1, "b": "x"}, {"a": 2.5, "b": "y"}])
    assert isinstance(number, Numeric)
    assert text == Categorical("b", ("x", "y"))
    with pytest.raises(CollapseError, match="the column 'name' has 1200 different texts"):
        fit_columns([{"name": f"person {i}"} for i in range(1200)])


ROWS = [{"town": "north", "height": 1.5, "children": 2}, {"town": "south", "height": 2.25, "children": 0}]


def codec():
    taught = [Prompt(str(i), {"town": row["town"]}, row) for i, row in enumerate(ROWS)]
    return Codec.fit(taught, [Prompt("f", {"town": "west"})], scale=2.0)


def test_rows_become_tensors_and_rows_again_in_the_order_of_their_columns():
    one = codec()
    tensor = one.encode(ROWS)
    assert tensor.shape == (2, one.width)
    assert tensor[:, 2:].tolist() == [[2.0, 0.0], [0.0, 2.0]]
    back = one.decode(tensor[:, :2].double(), tensor[:, 2:].argmax(dim=1, keepdim=True))
    assert back == ROWS
    assert [list(row) for row in back] == [list(row) for row in ROWS]


def test_a_prompt_may_say_what_no_row_taught_and_may_say_nothing():
    assert codec().prompts([{"town": "west"}, {}, {"town": "north"}]).tolist() == [[3], [0], [1]]


def test_what_the_model_does_not_know_is_said_clearly():
    with pytest.raises(CollapseError, match="a prompt says the column 'trade'; this model understands town"):
        codec().prompts([{"trade": "smith"}])
    with pytest.raises(CollapseError, match="the column 'town' has the value 'east'"):
        codec().prompts([{"town": "east"}])


def test_an_unknown_category_costs_as_an_even_guess_and_is_never_taken_for_another():
    one = codec()
    rows = one.encode([ROWS[0], ROWS[0] | {"town": "east"}], with_unknown=True)
    assert rows[1, 2:].tolist() == [0.0, 0.0]

    def sure(noisy, levels, prompts):
        return torch.tensor([0.0, 0.0, 9.0, -9.0]).expand(len(noisy), 4)

    levels, noises = torch.full((2,), 0.5), torch.zeros(2, 4)
    known, unknown = losses(sure, one, rows, one.prompts([{}, {}]), levels, noises)
    assert 3 * float(unknown - known) == pytest.approx(math.log(3), abs=1e-5)


def test_a_codec_survives_json():
    assert Codec.from_json(codec().to_json()) == codec()
    assert [from_json(to_json(column)) for column in codec().columns] == list(codec().columns)
