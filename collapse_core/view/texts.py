"""What was sampled and answered: completions filtered, the group of a prompt, answers side by side."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from collapse_core.errors import CollapseError
from collapse_core.report.charts import Chart, Panel, limits
from collapse_core.report.drawing import COLORS, Line, Point, draw
from collapse_core.report.gallery import Item, Look, exhibit, look_of, spread_out
from collapse_core.report.samples import NUM_PICTURES, follow
from collapse_core.results.formatting import plain
from collapse_core.results.references import reference_answers
from collapse_core.view.answers import REFERENCE, Asked, noted
from collapse_core.view.completions import Completions, Query, fold, searched, words_of
from collapse_core.view.pages import Pages
from collapse_core.view.rendering import DRAWING, attempt, render
from collapse_core.view.shelf import Entry, Latest

if TYPE_CHECKING:
    from markupsafe import Markup

PAGE = 50
"""How many completions are on a page, or prompts, or answers."""
NUM_PROPOSED = 500
"""How many prompts are proposed to filter by."""
MOST_ITERATIONS = 60
"""Of how many iterations the group of a prompt is shown."""

T = TypeVar("T")
_references: Latest[dict[str, Any]] = Latest(8)
_charts: Latest["Markup"] = Latest(64)
_looks: Latest[Look] = Latest(64)


@dataclass(frozen=True)
class Paged:
    """A page of something longer."""

    number: int
    """From 1."""
    num_pages: int
    first: int
    """The place of its first item, from 1; 0 where there is none."""
    last: int
    total: int


def paged(items: Sequence[T], number: int, size: int = PAGE) -> tuple[Sequence[T], Paged]:
    """The items on a page, the nearest there is, and where it is."""
    num_pages = max(1, math.ceil(len(items) / size))
    number = min(max(number, 1), num_pages)
    start = (number - 1) * size
    found = items[start : start + size]
    return found, Paged(number, num_pages, start + bool(found), start + len(found), len(items))


class TextPages(Pages):
    """Makes the pages that show texts, or what else a model has drawn."""

    def completions(
        self,
        key: str,
        query: Query,
        asked: Mapping[str, str],
        page: int,
        wait: float,
        size: int = PAGE,
    ) -> str:
        """The completions of a run that are asked for; `asked` is how the address says it."""
        entry = self.shelf.entry(key)
        found = self.shelf.completions(entry)
        found.refresh(wait)
        return self._of_run(
            "completions.html",
            entry,
            "Completions",
            stale=found.num_waiting > 0,
            asked=asked,
            found=attempt("What was sampled", lambda: self._found(entry, found, query, asked, page, size)),
            iterations=found.iterations(),
            prompts=[prompt.id for prompt in found.prompts()[:NUM_PROPOSED]],
        )

    def _of_run(
        self, template: str, entry: Entry, title: str, *, stale: bool = False, **values: object
    ) -> str:
        return self.page(template, f"{title}, {entry.label}", [entry], stale=stale, entry=entry, **values)

    def _found(
        self, entry: Entry, found: Completions, query: Query, asked: Mapping[str, str], page: int, size: int
    ) -> "Markup":
        lines, place = paged(found.select(query), page, size)
        rows = [(line, row) for line in lines if (row := found.row(line)) is not None]
        look = self._look(entry)
        groups: dict[str, list[Item]] = {}
        for line, row in rows:
            groups.setdefault(f"iteration {line.iteration + 1}", []).append(_item(row))
        return render(
            "found.html",
            entry=entry,
            links=self.links,
            rows=rows,
            exhibit=exhibit(groups, look, _all, size),
            place=place,
            asked=asked,
            words=words_of(query.find),
            nothing=self._why_nothing(entry, found),
            num_waiting=found.num_waiting,
            num_bad=found.num_bad,
        )

    def _why_nothing(self, entry: Entry, found: Completions) -> str:
        """Why a run has no completions; empty where it has some, or some are still being read."""
        if found.iterations() or found.num_waiting:
            return ""
        results = self.shelf.results(entry)
        if not results.recipe.get("keep_text", True):
            return "The recipe says keep_text: false, so no completion was written down."
        if results.journal:
            return (
                "The completions of this run are not there (any more); its journal says that there were some."
            )
        return "Nothing has been sampled yet."

    def _look(self, entry: Entry) -> Look:
        recipe = self.shelf.results(entry).recipe
        return _looks.get(entry.key, repr(recipe.get("data")), lambda: look_of(recipe))

    # --- prompts -----------------------------------------------------------------------------------

    def prompts(self, key: str, find: str, page: int, wait: float, size: int = 2 * PAGE) -> str:
        """The prompts of a run, with how their rewards went."""
        entry = self.shelf.entry(key)
        found = self.shelf.completions(entry)
        found.refresh(wait)
        words = [fold(word) for word in words_of(find)]
        every = [
            prompt
            for prompt in found.prompts()
            if all(word in fold(f"{prompt.id} {searched(prompt.asked, 0)}") for word in words)
        ]
        shown, place = paged(every, page, size)
        nothing = attempt("This run", lambda: render("problem.html", problem=self._why_nothing(entry, found)))
        return self._of_run(
            "prompts.html",
            entry,
            "Prompts",
            stale=found.num_waiting > 0,
            prompts=shown,
            place=place,
            asked={"find": find},
            nothing=nothing,
            iterations=found.iterations(),
        )

    def prompt(self, key: str, prompt: str, wait: float, *, chart: bool = True) -> str:
        """The group of a prompt through all iterations, and what the models answered to it."""
        entry = self.shelf.entry(key)
        found = self.shelf.completions(entry)
        found.refresh(wait)
        ids = list(dict.fromkeys(one.id for one in found.prompts()))
        if prompt not in ids:
            raise CollapseError("nothing was sampled for this prompt, or what was is not there (any more)")
        place = ids.index(prompt)
        around = [ids[n] if 0 <= n < len(ids) else "" for n in (place - 1, place + 1)]
        asked = found.asked(prompt)
        parts = [
            ("What the models answer", partial(self._side_by_side_answers, entry, prompt, asked)),
            *([("Its reward", partial(self._reward_chart, entry, found, prompt))] if chart else []),
            ("What was sampled", partial(self._group, entry, found, prompt)),
        ]
        shown = [(title, attempt("This", make)) for title, make in parts]
        return self._of_run(
            "prompt.html", entry, "Prompt", id=prompt, content=asked, around=around, parts=shown
        )

    def _side_by_side_answers(self, entry: Entry, prompt: str, asked: Any) -> "Markup":
        results = self.shelf.results(entry)
        references = self._references(entry)
        mine = [one for one in noted(results) if plain(one.prompt) == plain(asked)]
        forget = mine or [Asked("forget", asked)]
        if prompt in references:
            forget[0].given.sort(key=lambda given: given.model != "before")
            reference = Asked("", asked)
            reference.add(REFERENCE, references[prompt], [])
            forget[0].given[:0] = reference.given
        return render("side_by_side.html", asked=[self._answered(one, self._look(entry)) for one in forget])

    def _references(self, entry: Entry) -> dict[str, Any]:
        version = self.shelf.version([entry])
        return _references.get(entry.key, version, lambda: reference_answers(entry.directory))

    def _answered(self, asked: Asked, look: Look) -> dict[str, Any]:
        """What the templates show of a prompt and its answers; pictures model by model."""
        groups: dict[str, list[Item]] = {}
        for given in asked.given:
            groups.setdefault(given.model, []).append(Item(given.answer, ", ".join(given.notes)))
        if asked.target is not None:
            groups["true answer"] = [Item(asked.target, "")]
        return {"asked": asked, "exhibit": exhibit(groups, look, spread_out, NUM_PICTURES)}

    def _group(self, entry: Entry, found: Completions, prompt: str) -> "Markup":
        rows: dict[int, list[dict[str, Any]]] = {}
        numbers = spread_out(found.iterations(), MOST_ITERATIONS)
        for line in found.select(Query(prompt=prompt)):
            if line.iteration in numbers and (row := found.row(line)) is not None:
                rows.setdefault(line.iteration, []).append(row)
        if not rows:
            raise CollapseError("its files are not there (any more)")
        return render(
            "group.html",
            shown=follow(prompt, rows, self._look(entry), NUM_PICTURES),
            entry=entry,
            links=self.links,
            hidden=len(found.iterations()) - len(numbers),
        )

    def _reward_chart(self, entry: Entry, found: Completions, prompt: str) -> "Markup":
        version = self.shelf.version([entry])
        return _charts.get(f"{entry.key} {prompt}", version, lambda: _reward_chart(found, prompt))

    # --- answers -----------------------------------------------------------------------------------

    def answers(self, key: str, split: str, find: str, page: int, size: int = PAGE // 2) -> str:
        """What the models answered when they were measured, prompt by prompt, side by side."""
        entry = self.shelf.entry(key)
        body = attempt("What was answered", lambda: self._answers(entry, split, find, page, size))
        splits = attempt(
            "the splits", lambda: render("splits.html", splits=self._splits(entry), chosen=split)
        )
        asked = {"split": split, "find": find}
        return self._of_run("answers.html", entry, "Answers", body=body, asked=asked, splits=splits)

    def _splits(self, entry: Entry) -> list[str]:
        return list(dict.fromkeys(asked.split for asked in noted(self.shelf.results(entry))))

    def _answers(self, entry: Entry, split: str, find: str, page: int, size: int) -> "Markup":
        words = [fold(word) for word in words_of(find)]
        every = [
            asked
            for asked in noted(self.shelf.results(entry))
            if (not split or asked.split == split) and all(word in _words(asked) for word in words)
        ]
        shown, place = paged(every, page, size)
        look = self._look(entry)
        return render(
            "answered.html",
            asked=[self._answered(one, look) for one in shown],
            place=place,
            links=self.links,
            entry=entry,
            query={"split": split, "find": find},
        )


def _words(asked: Asked) -> str:
    contents = (asked.prompt, asked.target, *(given.answer for given in asked.given))
    return fold("\n".join(searched(content, 0) for content in contents if isinstance(content, str)))


def _item(row: Mapping[str, Any]) -> Item:
    rewards = row.get("rewards")
    return Item(
        row.get("answer"),
        row.get("reward"),
        f"{plain(row.get('prompt'))}, number {row.get('number')}",
        rewards if isinstance(rewards, dict) else {},
        bool(row.get("kept")),
    )


def _all(items: Sequence[Item], most: int) -> Sequence[Item]:
    return items


def _reward_chart(found: Completions, prompt: str) -> "Markup":
    """The rewards of a prompt by iteration, of all that was sampled and of what was kept."""
    rewards: dict[str, dict[int, list[float]]] = {"sampled": {}, "kept": {}}
    for line in found.select(Query(prompt=prompt)):
        for name in ("sampled", "kept") if line.kept else ("sampled",):
            if math.isfinite(line.reward):
                rewards[name].setdefault(line.iteration, []).append(line.reward)
    points = {name: [_point(n, some) for n, some in by.items()] for name, by in rewards.items() if by}
    lines = tuple(
        Line(name, tuple(some), COLORS[place], False) for place, (name, some) in enumerate(points.items())
    )
    every = [point for line in lines for point in line.points]
    if len({point[0] for point in every}) < 2:
        return render("curves.html", panels=[], runs=[{"label": ""}])
    ends = (
        *limits(0.0, max(p[0] for p in every)),
        *limits(min(p[2] for p in every), max(p[3] for p in every)),
    )
    with DRAWING:
        chart = Chart(lines, *draw(lines, ends, "reward"))
    panel = Panel("Reward", "mean, least and greatest; higher is better forgotten", [chart])
    return render("curves.html", panels=[panel], runs=[{"label": ""}])


def _point(iteration: int, rewards: Sequence[float]) -> Point:
    return iteration + 1, math.fsum(rewards) / len(rewards), min(rewards), max(rewards)
