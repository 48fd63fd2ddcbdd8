"""A recipe for a table of a user's, from a look at it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from pydantic import TypeAdapter, ValidationError

from collapse_core import CollapseError, Conditions, Draft, drafting, files
from collapse_tabular.data import TableFile
from collapse_tabular.data.conditions import MISSING, Row
from collapse_tabular.data.files import MOST_CLASSES
from collapse_tabular.data.identifiers import naming_columns
from collapse_tabular.data.parquet import SUFFIXES
from collapse_tabular.data.reading import Dialect, changed, read_rows

TABLES = (".csv", ".tsv", ".data", *SUFFIXES)
"""How the names of files end that are taken for tables."""
SIZES = ((1_000, 64, 600), (10_000, 128, 2_000), (10**12, 192, 4_000))
"""Up to how many rows a network is how wide and is taught for how many steps: few rows are soon memorized."""
MOST_RETAIN = 4096
"""Rows to retain of an iteration, where there are as many."""

RECIPE = Template(Path(__file__).with_name("draft.yaml.txt").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class _Look:
    """What a look at the table has shown."""

    table: TableFile
    rows: Sequence[Row]
    left_out: Sequence[str]
    num_forget: int
    num_taught: int


def draft_recipe(name: str, model: str | None, sources: Mapping[str, Any]) -> Draft | None:
    """Look at a table; None where the data is none, or the model is of another kind.

    Raises:
        CollapseError: The table cannot be read, or it is not said which rows are to be forgotten.
    """
    source = drafting.chosen(sources)
    if source is None or source.path.suffix not in TABLES or not (model is None or _is_of_rows(model)):
        return None
    drafting.refuse_others(sources, "rows")
    seen = _look(source)
    return Draft(_found(model, seen), _written(name, model, source, seen))


def _is_of_rows(model: str) -> bool:
    from collapse_tabular.model.row_model import FORMAT

    try:
        return bool(files.read_json(Path(model) / "config.json").get("format") == FORMAT)
    except (OSError, ValueError, AttributeError):
        return False


def _look(source: drafting.Chosen) -> _Look:
    dialect: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in source.fields.items()
        if key in ("encoding", "delimiter", "decimal", "missing", "categories")
    }
    rows = read_rows(source.path, (), Dialect(**dialect), changed(source.path))
    conditions = _conditions(source, rows)
    prompt = list(dict.fromkeys(condition["column"] for condition in conditions))
    needed = {*prompt, *source.fields.get("categories", ())}
    left_out = [column for column in naming_columns(rows, needed) if column not in source.fields]
    given = {
        "use": "table",
        "path": str(source.path),
        "prompt": prompt,
        "forget": conditions,
        "predict": _label(rows, prompt, left_out),
        **({"drop": left_out} if left_out else {}),
        **source.fields,
    }
    try:
        table = TableFile.model_validate(given)
    except ValidationError as error:
        raise CollapseError(f"--forget: {error.errors()[0]['loc'][0]}: {error.errors()[0]['msg']}") from None
    table.load("forget", targets=False)
    return _Look(table, rows, left_out, len(table.load("forget_examples")), len(table.load("full")))


def _conditions(source: drafting.Chosen, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return what `where` says, as the data set takes it."""
    columns = [column for column in rows[0] if not column.endswith(MISSING)]
    if not source.where:
        raise CollapseError(
            f"{source.path} is read as a table of {len(rows)} rows; say which are to be forgotten: --forget "
            f"'{{from: {source.path}, where: {{COLUMN: VALUE}}}}', with a column of {', '.join(columns)}; "
            "for a language model give --model"
        )
    try:
        found = TypeAdapter(Conditions).validate_python(source.where)
    except ValidationError as error:
        raise CollapseError(f"--forget: 'where': {error.errors()[0]['msg']}") from None
    if missing := [one.column for one in found if one.column not in columns]:
        raise CollapseError(f"{source.path}: has no column '{missing[0]}'; it has {', '.join(columns)}")
    return [one.model_dump(exclude_defaults=True) for one in found]


def _label(rows: Sequence[Row], prompt: Sequence[str], left_out: Sequence[str]) -> str:
    """Return a column of few classes to be predicted: the last that no prompt says, or else the first."""
    values = {
        column: {row[column] for row in rows}
        for column in rows[0]
        if column not in left_out and column + MISSING not in rows[0] and not column.endswith(MISSING)
    }
    few = [
        column
        for column, there in values.items()
        if 2 <= len(there) <= MOST_CLASSES
        and all(isinstance(value, str) or value == int(value) for value in there)
    ]
    texts = [column for column in few if isinstance(rows[0][column], str)]
    for candidates in (texts, few):
        if others := [column for column in candidates if column not in prompt]:
            return others[-1]
    if not few:
        raise CollapseError(
            f"no column has from 2 to {MOST_CLASSES} classes, one of which a classifier could learn to "
            "predict; add one, such as an outcome"
        )
    return few[0]


def _found(model: str | None, seen: _Look) -> list[str]:
    """What was found, a line each."""
    table, columns = seen.table, [column for column in seen.rows[0] if not column.endswith(MISSING)]
    num_texts = sum(isinstance(seen.rows[0][column], str) for column in columns)
    conditions = " and ".join(map(str, table.forget))
    lines = [
        f"table {table.path}: {len(seen.rows)} rows of {len(columns)} columns, {num_texts} of texts and "
        f"{len(columns) - num_texts} of numbers",
        f"to forget: {conditions}, {seen.num_forget} of the {seen.num_taught} rows that are trained on; "
        f"the other {len(seen.rows) - seen.num_taught} rows are held out",
        f"predicted column, to judge sampled rows by: {table.predict}",
    ]
    if seen.left_out:
        lines.append(f"left out, since nearly every row has a text of its own: {', '.join(seen.left_out)}")
    _, width, steps = _size(seen)
    taught = f"taught on the table by the recipe: {steps} steps of a network {width} wide"
    return [*lines, f"model: {taught if model is None else f'{model}, an exported model of rows'}"]


def _size(seen: _Look) -> tuple[int, int, int]:
    return next(size for size in SIZES if seen.num_taught <= size[0])


def _written(name: str, model: str | None, source: drafting.Chosen, seen: _Look) -> str:
    """The recipe, with what was chosen."""
    table, (_, width, steps) = seen.table, _size(seen)
    given = table.model_dump(include={"use", "path", "prompt", "predict", "drop", *source.fields})
    given["forget"] = [one.model_dump(exclude_defaults=True) for one in table.forget]
    if not table.drop:
        del given["drop"]
    taught = {"use": "row-diffusion", "width": width, "teach": {"steps": steps}}
    opened = {"use": "row-diffusion", "path": model, "teach": None}
    other = drafting.flow({**taught, "teach": {"steps": steps, "split": "retain"}})
    num_retain = seen.num_taught - seen.num_forget
    return RECIPE.substitute(
        name=name,
        file=f"{name}.yaml",
        data=drafting.block(given),
        model=drafting.flow(opened if model else taught),
        trained="It was exported by a run, and is opened as it is"
        if model
        else "It is taught first, which is cached: few rows are soon memorized, so they get fewer steps",
        retain="all" if num_retain <= MOST_RETAIN else MOST_RETAIN,
        baselines="{}" if model else f"\n    never trained on it: {other}",
        compared="Name a model that was never trained on the rows under 'baselines' to compare with"
        if model
        else "They are compared with a model that was never trained on the rows to forget",
    )
