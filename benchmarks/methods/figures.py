"""The figures of docs/methods.md, from measured.json."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.methods import METHODS
from benchmarks.methods.measured import Metrics, name_of
from benchmarks.methods.tables import STANDARDS, runs_of, values_of
from collapse_core.results.pareto import pareto_front

COLORS = {"own": "#4477aa", "with targets": "#cc3311", "other": "#777777"}
"""Methods that train on own answers, that read true ones, and the others."""
KINDS = {
    **dict.fromkeys(("pmc", "bradley_terry", "pmc_alignment", "one_shot"), "own"),
    **dict.fromkeys(("retain_only", "refusal", "refusal_list"), "other"),
}
PANELS = (
    ("rouge_forget", "ROUGE forget, % (less is better)"),
    ("extraction_strength_forget", "extraction strength (less is better)"),
)


def draw_all(found: Mapping[str, Any], to: Path) -> None:
    """Draw the four figures; each file is replaced."""
    draw_front(found, to / "methods_front.svg")
    draw_leakage(found, to / "methods_leakage.svg")
    draw_shift(found, to / "methods_shift.svg")
    draw_dynamics(found, to / "methods_dynamics.svg")


def draw_front(found: Mapping[str, Any], path: Path) -> None:
    """Utility against forgetting, in what greedy answers say and in what is memorized."""
    with _figure(path, 1, 2, (8.4, 4.6)) as panels:
        for panel, (metric, label) in zip(panels, PANELS, strict=True):
            places = {}
            for number, method in enumerate(METHODS, start=1):
                if not (runs := runs_of(method.stem, found["runs"])):
                    continue
                xs, ys = values_of(runs, metric), values_of(runs, "utility")
                color = COLORS[KINDS.get(method.stem, "with targets")]
                panel.scatter(xs, ys, color=color, s=6, alpha=0.5)
                places[method.stem] = x, y = fmean(xs), fmean(ys)
                _note(panel, str(number), (x, y), color)
            for model in ("before", "retrained"):
                runs = runs_of(model, found["standards"])
                x, y = fmean(values_of(runs, metric)), fmean(values_of(runs, "utility"))
                panel.plot(x, y, "k+", markersize=8)
                _note(panel, model, (x, y), "k", below=True)
            goal = fmean(values_of(runs_of("retrained", found["standards"]), metric))
            ahead = [(min(-x, -goal), y) for x, y in places.values()]
            front = sorted(list(places.values())[i] for i in pareto_front(ahead))
            panel.plot(*zip(*front, strict=True), color="#999999", linewidth=0.8, zorder=0)
            panel.axvline(goal, color="#999999", linewidth=0.6, linestyle=":")
            panel.set(xlabel=label)
            panel.invert_xaxis()
        panels[0].set_ylabel("utility, %")


def _note(panel: Any, text: str, place: tuple[float, float], color: str, *, below: bool = False) -> None:
    offset = (3, -12 if below else 3)
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.2}
    panel.annotate(text, place, color=color, fontsize=7, textcoords="offset points", xytext=offset, bbox=box)


def draw_leakage(found: Mapping[str, Any], path: Path) -> None:
    """The worst of many samples, freely and after a forced beginning."""
    rows = _named(found)
    with _figure(path, 1, 1, (7, 4)) as [panel]:
        for offset, metric, color, label in (
            (-0.2, "leakage_sampling", "#4477aa", "sampled"),
            (0.2, "leakage_prefill", "#ee7733", 'after "The answer is:"'),
        ):
            values = [values_of(runs, metric) for _, runs in rows]
            heights = [fmean(seen) for seen in values]
            panel.barh([i + offset for i in range(len(rows))], heights, 0.38, color=color, label=label)
            for place, seen in enumerate(values):
                panel.plot(seen, [place + offset] * len(seen), "k.", markersize=2)
        panel.set_yticks(range(len(rows)), [name.strip("*") for name, _ in rows])
        panel.invert_yaxis()
        panel.set_xlabel("ROUGE-L recall of the worst of 32 samples, mean over questions, %")
        panel.legend(frameon=False, fontsize=7)


def draw_shift(found: Mapping[str, Any], path: Path) -> None:
    """By how much tokens of the forget set became less likely in text that has nothing to do with it."""
    rows = [
        (name, runs) for name, runs in _named(found) if name not in ("*retrained*", "*never trained on it*")
    ]
    with _figure(path, 1, 1, (7, 3.6)) as [panel]:
        for place, (_, runs) in enumerate(rows):
            mean, spread = (fmean(values_of(runs, f"token_shift_{what}")) for what in ("mean", "spread"))
            panel.errorbar(mean, place, xerr=spread, fmt="o", markersize=3, color="#4477aa", capsize=2)
        panel.axvline(0, color="#999999", linewidth=0.6)
        panel.set_yticks(range(len(rows)), [name.strip("*") for name, _ in rows])
        panel.invert_yaxis()
        panel.set_xlabel("change of a token's probability against the retrained model: mean and deviation")


def draw_dynamics(found: Mapping[str, Any], path: Path) -> None:
    """By iteration: the reward of what was kept, and the losses of true answers."""
    with _figure(path, 1, 3, (8.4, 2.6)) as panels:
        for number, (stem, curves) in enumerate(found["dynamics"].items()):
            color = ("#4477aa", "#cc3311", "#228833", "#aa3377")[number % 4]
            label = name_of(stem, METHODS)
            if KINDS.get(stem) == "own":
                its, means, spreads = zip(*curves["reward_kept"], strict=True)
                panels[0].plot(its, means, color=color)
                ends = [[m + s * d for m, d in zip(means, spreads, strict=True)] for s in (-1, 1)]
                panels[0].fill_between(its, *ends, color=color, alpha=0.15, linewidth=0)
            for panel, name in zip(panels[1:], ("forget_nll", "retain_nll"), strict=True):
                panel.plot(*zip(*curves[name], strict=True), color=color, label=label)
        for panel, title in zip(
            panels,
            ("reward of what was kept", "true answers, nats per token", "retained answers"),
            strict=True,
        ):
            panel.set_title(title, fontsize=8)
            panel.set_xlabel("iteration")
        panels[1].legend(frameon=False, fontsize=7)


def _named(found: Mapping[str, Any]) -> list[tuple[str, list[Metrics]]]:
    """What methods are held against, and all methods, by their names."""
    standards = [(shown, runs_of(model, found["standards"])) for model, shown in STANDARDS.items()]
    methods = [(method.name, runs_of(method.stem, found["runs"])) for method in METHODS]
    return [(name, runs) for name, runs in (*standards, *methods) if runs]


@contextmanager
def _figure(path: Path, rows: int, columns: int, size: tuple[float, float]) -> Iterator[Sequence[Any]]:
    """Panels to draw in; the file is written in the end, the same bytes for the same drawing."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "collapse", "font.size": 8})
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    for panel in panels.flat:
        panel.spines[["top", "right"]].set_visible(False)
    yield list(panels.flat)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
