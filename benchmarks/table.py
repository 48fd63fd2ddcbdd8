"""The tables of all results, as text or as Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from math import isnan
from pathlib import Path
from typing import Any

import click

from benchmarks.cells import COLUMNS, Job, read_results
from benchmarks.running import trl_installed

Row = list[str]
Result = Mapping[str, Any]
MEBI = 2**20

HEAD = [
    "questions", "n", "column", "computes in", "sample s", "score s", "update s", "all s", "times faster",
]  # fmt: skip
RATIO_HEAD = ["questions", "n", "column", "computes in", "sampling", "update", "iteration"]
TOKEN_HEAD = [
    "questions", "n", "column", "computes in", "useful", "useful/s", "wasted decoding", "wasted prefill",
    "peak MiB",
]  # fmt: skip
UPDATE_HEAD = [
    "questions", "column", "computes in", "s", "times faster", "learned", "learned/s", "wasted processing",
    "wasted projection", "peak MiB",
]  # fmt: skip


def print_tables(folder: Path, markdown: bool) -> None:
    """Print all that has been measured."""
    for line in tables(folder, markdown):
        click.echo(line)


def tables(folder: Path, markdown: bool) -> Iterator[str]:
    """The lines of every table."""
    iterations = sorted(read_results(folder, "iteration"), key=_order)
    updates = {Job.from_json(r["job"]).update_name: r for r in read_results(folder, "update")}
    if not iterations:
        yield "Nothing has been measured yet."
        return
    for (model, dtype, size), group in groupby(iterations, key=_condition):
        results = list(group)
        yield from _heading(f"{model}, {dtype}, batches of {size} questions", results, markdown)
        ratios = _ratio_rows(results, updates)
        yield from table_lines("Times faster than the reference", RATIO_HEAD, ratios, markdown)
        yield from table_lines("The iteration", HEAD, _iteration_rows(results, updates), markdown)
        yield from table_lines("Sampling", TOKEN_HEAD, _sampling_rows(results), markdown)
        here = [r for r in updates.values() if _condition(r) == (model, dtype, size)]
        yield from table_lines("The update", UPDATE_HEAD, _update_rows(sorted(here, key=_order)), markdown)
    yield from _rate_lines(list(read_results(folder, "rates")), markdown)
    yield from _profile_lines(list(read_results(folder, "profile")), markdown)


def _order(result: Result) -> tuple[Any, ...]:
    job = Job.from_json(result["job"])
    cell = job.cell
    place = COLUMNS.index(job.column)
    return (*_condition(result), cell.num_questions, cell.num_completions, place)


def _condition(result: Result) -> tuple[str, str, int]:
    job = result["job"]
    return job["cell"]["model"], job["dtype"], job["batch_size"]


def _heading(title: str, results: Sequence[Result], markdown: bool) -> Iterator[str]:
    found = results[0]["environment"]
    packages = ", ".join(f"{name} {number}" for name, number in found["packages"].items())
    yield f"{'### ' if markdown else '== '}{title}"
    yield ""
    yield (
        f"{found['num_parameters'] / 1e6:.1f} M parameters; {found['device']}, {found['cores']} cores, "
        f"{found['threads']} threads; {packages}"
    )
    times = sorted(result["measured"] for result in results if "measured" in result)
    if times:
        yield f"measured from {times[0]} to {times[-1]}"
    if not any(result["job"]["column"] == "trl" for result in results):
        yield "trl: not measured" if trl_installed() else "trl: not installed"
    yield ""


def _ratio_rows(results: Sequence[Result], updates: Mapping[str, Result]) -> Iterator[Row]:
    references = {}
    for result in results:
        job = Job.from_json(result["job"])
        sample, score, update = _seconds(result, updates.get(job.update_name))
        own = (sample, update, sample + score + update)
        if job.column == "reference":
            references[job.cell] = own
        others = references.get(job.cell, (None,) * len(own))
        yield [*_name(result), *(_ratio(other, mine) for other, mine in zip(others, own, strict=True))]


def _seconds(result: Result, update: Result | None) -> list[float]:
    """Those of sampling, scoring and the update; NaN where that has not been measured."""
    trained = update["update"]["seconds"] if update else float("nan")
    return [result["sample"]["seconds"], result["score"]["seconds"], trained]


def _iteration_rows(results: Sequence[Result], updates: Mapping[str, Result]) -> Iterator[Row]:
    seconds = {}
    for result in results:
        job = Job.from_json(result["job"])
        update = updates.get(job.update_name)
        own = _seconds(result, update)
        seconds[job.cell, job.column] = sum(own)
        reference = seconds.get((job.cell, "reference"))
        mark = "*" if update and update["job"]["cell"] != result["job"]["cell"] else ""
        sample, score, trained = (f"{value:.2f}" for value in own)
        yield [*_name(result), sample, score, trained + mark, f"{sum(own):.2f}", _ratio(reference, sum(own))]


def _sampling_rows(results: Sequence[Result]) -> Iterator[Row]:
    for result in results:
        phase, tokens = result["sample"], result["sample"]["tokens"]
        yield [
            *_name(result),
            f"{tokens['useful']:,}",
            f"{tokens['useful'] / phase['seconds']:,.0f}",
            _share(tokens["decoded"] - tokens["useful"], tokens["decoded"]),
            _share(tokens["prefilled"] - tokens["prompt"], tokens["prefilled"]),
            _peak(phase),
        ]


def _update_rows(results: Sequence[Result]) -> Iterator[Row]:
    seconds: dict[int, float] = {}
    for result in results:
        phase, tokens = result["update"], result["update"]["tokens"]
        questions, _, column, dtype = _name(result)
        if column == "reference":
            seconds[int(questions)] = phase["seconds"]
        projected = tokens["projected"]
        yield [
            questions,
            column,
            dtype,
            f"{phase['seconds']:.2f}",
            _ratio(seconds.get(int(questions)), phase["seconds"]),
            f"{tokens['useful']:,}",
            f"{tokens['useful'] / phase['seconds']:,.0f}",
            _share(tokens["processed"] - tokens["examples"], tokens["processed"]),
            _share(projected - tokens["useful"], projected) if projected else "none",
            _peak(phase),
        ]


def _name(result: Result) -> Row:
    cell, column = result["job"]["cell"], result["job"]["column"]
    dtype = result["environment"]["computes_in"]
    return [str(cell["num_questions"]), str(cell["num_completions"]), column, dtype]


def _ratio(reference: float | None, own: float) -> str:
    return "-" if reference is None or isnan(reference / own) else f"{reference / own:.2f}"


def _share(part: int, whole: int) -> str:
    return f"{part:,} ({part / whole:.0%})" if whole else "-"


def _peak(phase: Result) -> str:
    on_gpu = phase["peak_gpu_bytes"]
    return f"{(on_gpu or phase['peak_bytes']) / MEBI:,.0f}{' on the GPU' if on_gpu else ''}"


def _rate_lines(results: Sequence[Result], markdown: bool) -> Iterator[str]:
    rows = [
        [
            result["job"]["cell"]["model"],
            result["environment"]["computes_in"],
            str(rate["num_rows"]),
            f"{rate['prefill']:,.0f}",
            f"{rate['decode']:,.0f}",
            f"{rate['decode'] / rate['prefill']:.2f}",
        ]
        for result in results
        for rate in result["rates"]
    ]
    head = ["model", "computes in", "rows", "prefill tokens/s", "decoded tokens/s", "decode / prefill"]
    yield from table_lines("Decoding against prefill", head, rows, markdown)


def _profile_lines(results: Sequence[Result], markdown: bool) -> Iterator[str]:
    for result in results:
        model, (questions, n, column, dtype) = result["job"]["cell"]["model"], _name(result)
        part = f"{result['num_questions']} of {questions} questions, n {n}"
        title = f"Profile of {model}, {column} in {dtype}, {part}"
        rows = [
            [phase, group, f"{seconds:.2f}", f"{seconds / result[phase]['all']:.0%}"]
            for phase in ("sample", "update")
            for group, seconds in result[phase].items()
        ]
        yield from table_lines(title, ["phase", "group", "s", "share"], rows, markdown)


def table_lines(title: str, head: Row, rows: Iterator[Row] | Sequence[Row], markdown: bool) -> Iterator[str]:
    """One table, with a line of its own for the title."""
    rows = list(rows)
    if not rows:
        return
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    bar = "|" if markdown else " "
    yield f"**{title}**" if markdown else title
    yield ""
    for number, row in enumerate([head, *rows]):
        cells = [f" {text:>{width}} " for text, width in zip(row, widths, strict=True)]
        yield f"{bar}{bar.join(cells)}{bar}".rstrip()
        if number == 0:
            yield f"{bar}{bar.join('-' * (width + 1) + (':' if markdown else '-') for width in widths)}{bar}"
    if any(text.endswith("*") for row in rows for text in row):
        yield ""
        yield (
            "\\* measured with fewer completions, on which the update does not depend"
            if markdown
            else ("* measured with fewer completions, on which the update does not depend")
        )
    yield ""
