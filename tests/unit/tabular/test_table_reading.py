"""Files of users: their dialects, what is missing or no number, and conditions that select nothing."""

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from small_tables import small

from collapse_core import CollapseError
from collapse_tabular.data import Condition, Iris, TableFile
from collapse_tabular.data.reading import NUMBER

LINES = [f"{'abc'[i % 3]},{'yn'[i % 2]},{i * 37 % 100 / 10}" for i in range(60)]


@pytest.fixture
def read(tmp_path):
    """Write a text or bytes, and return a table of it."""

    def table(text="", **fields):
        path = tmp_path / "p.csv"
        text = text or "\n".join(["g,y,x", *LINES])
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        fields = {"prompt": ["g"], "predict": "y", "forget": [Condition(column="g", value="a")]} | fields
        return TableFile(use="table", path=str(path), **fields)

    return table


def column(table, name="x"):
    return [row[name] for row in table.rows()]


def with_cells(*cells):
    """Return the file with other cells for x in its first rows."""
    changed = [line.rsplit(",", 1)[0] + "," + cell for line, cell in zip(LINES, cells, strict=False)]
    return "\n".join(["g,y,x", *changed, *LINES[len(cells) :]])


# --- numbers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["", "NaN", "NA", "null"])
def test_a_missing_number_is_the_median_and_a_category_says_so(cell, read):
    table = read(with_cells("5.5", cell))
    numbers = [5.5, *(float(line.rsplit(",", 1)[1]) for line in LINES[2:])]
    assert column(table)[1] == sorted(numbers)[29]
    assert column(table, "x missing") == ["no", "yes"] + 58 * ["no"]
    assert small(teach={"steps": 3}).load(table, 0).codec.numeric[0].name == "x"


def test_no_condition_holds_of_a_number_that_is_missing(read):
    table = read(with_cells("5.5", ""), forget=[Condition(column="x", op=">=", value=0)])
    assert [all(c.holds(row) for c in table.forget) for row in table.rows()[:3]] == [True, False, True]


def test_a_column_that_is_dropped_is_missing_whole(read):
    assert list(read(with_cells("")).rows()[0]) == ["g", "y", "x", "x missing"]
    assert list(read(with_cells(""), drop=["x"]).rows()[0]) == ["g", "y"]


@pytest.mark.parametrize("cell", ["inf", "-Infinity", "9" * 400, "1e+999"])
def test_an_infinite_number_is_refused_with_row_and_column(cell, read):
    with pytest.raises(CollapseError, match=r"p\.csv:3: the column 'x' has an infinite number"):
        read(with_cells("1", cell)).rows()


def test_numbers_next_to_zero_can_be_learned(read):
    table = read(with_cells("1e-310", "3e-310"))
    codec = small(teach={"steps": 1}).load(table, 0).codec
    assert codec.encode(table.rows()).isfinite().all()


@pytest.mark.parametrize("cell", ["09259", "7_49", "8E1", "\uff11\uff12", "+5", "1.2.3", "-", "."])
def test_what_is_not_plainly_a_number_makes_a_column_of_texts(cell, read):
    often = [with_cells(cell), *LINES, *LINES]
    assert column(read("\n".join(often)))[:2] == [cell, "3.7"]


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers())
def test_every_number_that_a_program_writes_is_plain(number):
    assert NUMBER.fullmatch(str(number))


def test_numbers_can_be_named_categories(read):
    assert column(read(categories=["x"]))[:2] == ["0.0", "3.7"]
    with pytest.raises(CollapseError, match="'categories' names 'xx'; did you mean 'x'"):
        read(categories=["xx"]).rows()


# --- columns -----------------------------------------------------------------------------------------


def test_a_header_with_a_column_twice_is_refused(read):
    with pytest.raises(CollapseError, match="the header has the column 'x' twice"):
        read("g,y,x,x\na,y,1,2\n").rows()


def test_only_a_column_that_there_is_can_be_dropped(read):
    with pytest.raises(CollapseError, match="has no column 'zzz'; it has g, y, x"):
        read(drop=["zzz"]).rows()


def test_a_column_of_measurements_is_nothing_to_predict(read):
    with pytest.raises(CollapseError, match="'predict' names the column 'x', which has 60 different numbers"):
        read(predict="x").rows()


# --- dialects ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [";", "\t", "|", " "])
def test_the_delimiter_is_found_in_the_first_line(delimiter, read):
    text = "\n".join(["g,y,x", *LINES]).replace(",", delimiter)
    assert read(text).rows() == read().rows()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_mark_at_the_beginning_says_the_encoding(encoding, read):
    text = "\n".join(["g,y,x", *LINES]).replace("c", "\u00e9")
    assert read(text.encode(encoding)).rows() == read(text).rows()


def test_another_encoding_is_named_and_without_its_name_refused(read):
    text = "\n".join(["g,y,x", *LINES]).replace("c", "\u00e9")
    assert read(text.encode("latin-1"), encoding="latin-1").rows() == read(text).rows()
    with pytest.raises(CollapseError, match="name its encoding, such as 'encoding: latin-1'"):
        read(text.encode("latin-1")).rows()
    with pytest.raises(CollapseError, match="there is no encoding 'latin-one'"):
        read(encoding="latin-one").rows()


def test_a_decimal_comma_is_read_with_its_key_and_never_guessed(read):
    text = "\n".join(["g,y,x", *LINES]).replace(",", ";").replace(".", ",")
    assert read(text, decimal=",").rows() == read().rows()
    with pytest.raises(CollapseError, match=r"p\.csv:2: .* '0,0', a number with a comma; write 'decimal: "):
        read(text).rows()


def test_a_header_of_decomposed_letters_and_a_cell_of_any_length_are_read(read):
    limit = csv.field_size_limit()
    rows = read(f"g,y,cafe\u0301\na,y,{'z' * 200_000}\nb,n,1\n").rows()
    assert len(rows[0]["caf\u00e9"]) == 200_000
    assert csv.field_size_limit() == limit


# --- conditions --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ({"column": "g", "value": "d"}, r"none of the 42 rows .* subgroup g=d; g has 'a' \(14\), 'b' \(14\)"),
        ({"column": "x", "op": ">", "value": 99}, "none of the 42 rows .*; x has numbers from 0.* to 9"),
        ({"column": "x", "op": ">=", "value": 0}, "all of the 42 rows"),
        ({"column": "g", "value": True}, "compares 'a' with True; give a number for a column of numbers"),
        ({"column": "x", "op": "!=", "value": "3"}, "compares 0.0 with '3'"),
        ({"column": "g", "op": "in", "value": ["a", 3]}, "give a number"),
    ],
)
def test_a_condition_that_selects_nothing_or_everything_is_refused_before_teaching(condition, said, read):
    table = read(forget=[Condition.model_validate(condition)])
    with pytest.raises(CollapseError, match=said):
        small(teach={"steps": 10**9}).load(table, 0)


def test_prompts_that_say_nothing_select_like_others():
    assert len(Iris(prompt=[], num_draws=8).load("forget")) == 8
    with pytest.raises(ValidationError):
        Iris(prompt=[], forget="tulip")
