"""The table of a run of the GPU benchmark: seconds, and ratios to the other ways in the same run."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.table import MEBI, Row, table_lines

Result = Mapping[str, Any]
PHASES = ("sampling", "update", "iteration")
HEAD = [
    "model", "phase", "column", "s", "times faster than reference", "than trl", "useful tokens/s", "peak MiB",
    "matmul TFLOP/s", "of the peak", "tensor-core kernels",
]  # fmt: skip


def table(results: Sequence[Result]) -> Iterator[str]:
    """Return the lines of the table, as Markdown."""
    yield from _heading([result for result in results if "environment" in result])
    yield from table_lines("One iteration", HEAD, list(_rows(results)), markdown=True)


def _heading(measured: Sequence[Result]) -> Iterator[str]:
    """What the numbers depend on; nothing where there are none."""
    if not measured:
        return
    found, job = measured[0]["environment"], measured[0]["job"]
    cell = job["cell"]
    packages = ", ".join(f"{name} {number}" for name, number in found["packages"].items())
    peak = max(result["peak_flops"] for result in measured) / 1e12
    yield f"### {found['device']}, random models"
    yield ""
    yield (
        f"{cell['num_questions']} questions, {cell['num_completions']} completions, batches of "
        f"{job['batch_size']} questions, {job['dtype']}; {packages}; a large product in bfloat16: "
        f"{peak:.3g} TFLOP/s"
    )
    yield ""


def _rows(results: Sequence[Result]) -> Iterator[Row]:
    for shape in dict.fromkeys(result["shape"] for result in results):
        here = {result["job"]["column"]: result for result in results if result["shape"] == shape}
        for phase in PHASES:
            seconds = {column: _seconds(result, phase) for column, result in here.items()}
            for column, result in here.items():
                own = seconds[column]
                if own is None:
                    missing = f"not measured, {result.get('missing', 'failed')}"
                    yield [shape, phase, column, missing, *[""] * (len(HEAD) - 4)]
                    continue
                ratios = [_ratio(seconds.get(other), own) for other in ("reference", "trl")]
                yield [shape, phase, column, f"{own:.2f}", *ratios, *_details(result, phase)]


def _seconds(result: Result, phase: str) -> float | None:
    """The seconds of a phase; an iteration is its sampling, scoring and update."""
    phases = result["phases"]
    parts = ("sampling", "scoring", "update") if phase == "iteration" else (phase,)
    return sum(phases[part]["seconds"] for part in parts) if phases.keys() >= set(parts) else None


def _details(result: Result, phase: str) -> Row:
    if phase == "iteration":
        return [""] * (len(HEAD) - 6)
    found = result["phases"][phase]
    rate = found["flops"] / found["seconds"]
    share = found.get("tensor_core_share")
    return [
        f"{found['tokens']['useful'] / found['seconds']:,.0f}",
        f"{(found['peak_gpu_bytes'] or found['peak_bytes']) / MEBI:,.0f}",
        f"{rate / 1e12:.3g}",
        f"{rate / result['peak_flops']:.1%}",
        "-" if share is None else f"{share:.0%}",
    ]


def _ratio(other: float | None, own: float) -> str:
    return f"{other / own:.2f}" if other else "-"
