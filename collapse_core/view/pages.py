"""The list of runs, one run, and runs side by side, as HTML."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from collapse_core.errors import CollapseError
from collapse_core.report.charts import Panel, panels
from collapse_core.report.comparison_page import compared
from collapse_core.report.report import measured, redacted, section
from collapse_core.results.comparison import compare
from collapse_core.results.results import Results
from collapse_core.view.links import Links
from collapse_core.view.rendering import DRAWING, attempt, render, why
from collapse_core.view.shelf import Entry, Latest, Shelf, signature
from collapse_core.view.standing import Standing, standing

if TYPE_CHECKING:
    from markupsafe import Markup

HEADLINES = ("unlearn_quality", "utility")
"""The metrics that are shown in the list of runs, where a run has them."""
MOST_CURVES = 6
"""Of how many runs curves are shown side by side."""
_panels: Latest[Sequence[Panel]] = Latest(32)


class Pages:
    """Makes pages on the runs of a shelf."""

    def __init__(self, shelf: Shelf, links: Links, *, texts: bool = True) -> None:
        """Take the runs, where each page is, and whether answers, recipes and paths are shown."""
        self.shelf = shelf
        self.links = links
        self.texts = texts

    def page(
        self, template: str, title: str, shown: Sequence[Entry], *, stale: bool = False, **values: object
    ) -> str:
        """A whole page, renewed when what it shows of these runs changes; at once where it is `stale`."""
        return render(
            template,
            title=title,
            links=self.links,
            version="" if stale else self.shelf.version(shown or self.shelf.entries()),
            poll=self.links.version([entry.key for entry in shown]),
            **values,
        )

    # --- the list of runs --------------------------------------------------------------------------

    def runs(self, intro: str = "") -> str:
        """The list of runs, with how far each has come, below a sentence on what is there."""
        entries = self.shelf.entries()
        rows = [self._listed(entry) for entry in entries]
        shown = [name for name in HEADLINES if any(row["metrics"].get(name) for row in rows)]
        return self.page(
            "runs.html",
            "Runs",
            [],
            rows=rows,
            headlines=shown,
            paths=[str(path) for path in self.shelf.paths],
            intro=intro,
        )

    def _listed(self, entry: Entry) -> dict[str, Any]:
        """A run in the list; one that cannot be read has no metrics."""
        stand, metrics = self.standing(entry), {}
        with suppress(Exception):  # a run may hold anything, and is listed nevertheless
            results = self.shelf.results(entry)
            metrics = {name: results.metric(name, results.latest()) for name in HEADLINES}
        return {"entry": entry, "standing": stand, "metrics": metrics}

    def standing(self, entry: Entry) -> Standing:
        """How a run stands; one whose files cannot be read is broken."""
        stand = standing(entry.directory)
        if stand.state != "broken":
            try:
                self.shelf.results(entry)
            except Exception as error:  # a run may hold anything
                return Standing("broken", why(error))
        return stand

    # --- one run -----------------------------------------------------------------------------------

    def run(self, key: str) -> str:
        """What was measured of a run, its curves, and where it comes from."""
        entry = self.shelf.entry(key)
        stand = self.standing(entry)
        parts = [
            ("what", "", "What was done", self._what),
            ("measured", "What was measured", "The table of metrics", self._measured),
            ("curves", "How it went", "The curves", self._curves),
            ("rest", "", "The rest of the report", self._rest),
        ]
        shown = [
            (name, title, attempt(what, partial(make, entry)))
            for name, title, what, make in (parts if stand.state != "broken" else ())
        ]
        return self.page("run_page.html", entry.label, [entry], entry=entry, standing=stand, parts=shown)

    def _measured(self, entry: Entry) -> "Markup":
        return render("measured.html", **measured([self.shelf.results(entry)]))

    def _curves(self, entry: Entry) -> "Markup":
        results = self.shelf.results(entry)
        return render("curves.html", panels=_drawn([entry], [results]), runs=[{"label": results.name}])

    def _what(self, entry: Entry) -> "Markup":
        return render("what.html", run=section(self.shelf.results(entry), sampled=False))

    def _rest(self, entry: Entry) -> "Markup":
        run = section(self.shelf.results(entry), sampled=False)
        if not self.texts:
            run = redacted(run)
        return render("rest.html", run=run, level=2)

    # --- runs side by side -------------------------------------------------------------------------

    def compare(self, keys: Sequence[str], forgetting: str = "", utility: str = "") -> str:
        """Runs side by side, and a front whose points lead to them; all runs where none are named."""
        entries = [entry for entry in self.shelf.entries() if not keys or entry.key in keys]
        return self.page(
            "compare_page.html",
            "Runs side by side",
            entries,
            entries=entries,
            keys=keys,
            metrics=self._metric_names(entries),
            chosen=(forgetting or HEADLINES[0], utility or HEADLINES[1]),
            body=attempt("The comparison", lambda: self._compared(entries, forgetting, utility)),
            curves=attempt("The curves", lambda: self._side_by_side(entries)),
        )

    def _compared(self, entries: Sequence[Entry], forgetting: str, utility: str) -> "Markup":
        whole = [entry for entry in entries if self.standing(entry).state != "broken"]
        if not whole:
            raise CollapseError("there is no run that can be read")
        found = compare([entry.directory for entry in whole], forgetting or None, utility or None)
        with DRAWING:
            return render("compared.html", **compared(found, self._link_of(whole)))

    def _link_of(self, entries: Sequence[Entry]) -> Any:
        keys = {entry.directory.resolve(): entry.key for entry in entries}

        def link(run: Results) -> str:
            key = keys.get(run.directory.resolve())
            return self.links.run(key) if key else ""

        return link

    def _side_by_side(self, entries: Sequence[Entry]) -> "Markup":
        found = [(e, r) for e in entries if (r := self._readable(e)) is not None]
        if len(found) > MOST_CURVES:
            raise CollapseError(f"{len(found)} runs are too many; choose at most {MOST_CURVES}")
        chosen, results = [e for e, _ in found], [r for _, r in found]
        labels = [{"label": entry.label} for entry in chosen]
        return render("curves.html", panels=_drawn(chosen, results) if results else [], runs=labels)

    def _readable(self, entry: Entry) -> Results | None:
        try:
            return self.shelf.results(entry)
        except (CollapseError, OSError):
            return None

    def _metric_names(self, entries: Sequence[Entry]) -> list[str]:
        """What can be chosen as a metric of the runs that can be read."""
        names: dict[str, None] = {}
        for entry in entries:
            with suppress(Exception):  # a run may hold anything; that it is broken is said below
                names |= dict.fromkeys(_choices(self.shelf.results(entry)))
        return list(names)


def _choices(results: Results) -> Iterator[str]:
    """The metrics of a run; one whose direction is not known, once for either."""
    for name in results.metrics():
        metric = results.metric(name, results.latest())
        known = metric is not None and metric.direction != "none"
        yield from (name,) if known else (f"{name}:up", f"{name}:down")


def _drawn(entries: Sequence[Entry], results: Sequence[Results]) -> Sequence[Panel]:
    """The charts of runs, drawn anew only where there is something new to draw."""

    def draw() -> Sequence[Panel]:
        with DRAWING:
            return panels(results)

    key = ",".join(entry.key for entry in entries)
    return _panels.get(key, repr([signature(entry.directory) for entry in entries]), draw)
