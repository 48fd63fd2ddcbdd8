"""Run directories to report on, recorded by the real run, and a reader for the reports."""

from dataclasses import asdict, dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from collapse_core import (
    Completion,
    Group,
    Iteration,
    Kept,
    Metric,
    Prompt,
    Recipe,
    Run,
    State,
    collapse,
    create_run,
    load_recipe,
)
from collapse_core.report.report import write_report

TOY = Path(__file__).parents[2] / "recipes" / "toy" / "partial_collapse.yaml"
SHORT_TOY = """\
version: 1
name: toy
data: {use: cities, num_draws: 40}
model: {use: categorical}
sampler: {use: categorical-draws}
rewards:
  - {use: not-among, categories: [Toronto, Montreal, Vancouver]}
filter: {use: best-of-n}
updater: {use: categorical-mle}
iterations: 4
completions_per_prompt: 2
evaluate: {with: [category-shares]}
"""
"""A recipe of seconds, to which criteria can be added."""
MANIFEST: dict[str, Any] = {
    "command": ["collapse", "run", "a recipe.yaml"],
    "code": {"collapse_core": "0123456789abcdef"},
    "packages": {"torch": "2.9.0", "left-pad": "1.0"},
    "plugins": [
        {"name": "toy", "distribution": "collapse-unlearning", "version": "0.1.0"},
        {"name": "odd", "distribution": "odd", "version": "1", "error": "ImportError: gone"},
    ],
    "true_answers": {"loop": "never loaded", "model": ["full"], "evaluators": {"quality": ["forget"]}},
}


def toy_recipe(*overrides: str) -> Recipe:
    return load_recipe(TOY, ["iterations=6", "evaluate.every=2", "data.num_draws=6", *overrides])


def toy_run(directory: Path, *overrides: str) -> Path:
    run = create_run(toy_recipe(*overrides), TOY.read_text(), MANIFEST, directory)
    collapse(run.recipe, run)
    run.close()
    return directory


@dataclass(frozen=True)
class Language:
    """A run such as a language model leaves behind, recorded by the run itself, with chosen texts."""

    iterations: int = 4
    prompts: int = 3
    completions: int = 4
    answer: str = "Her name is {i}-{n} and she was born in Sudbury in {i}."
    asked: str = "Who wrote the book number {p}?"
    reward: str = "rouge-distance"
    metric: str = "privacy"
    finished: bool = True

    @property
    def questions(self) -> list[Prompt]:
        return [Prompt(f"q{p}", self.asked.format(p=p), f"Author number {p}") for p in range(self.prompts)]

    def record(self, run: Run) -> None:
        self.measure(run, "before", 0)
        for iteration in Iteration.remaining(0, self.iterations, 0):
            run.enter("sample")
            groups = [self.group(question, iteration.number) for question in self.questions]
            kept = [group.keep(self.completions - 1) for group in groups]
            if iteration.number > self.iterations // 2:
                first = self.questions[0]
                groups[0], kept[0] = Group(first), Kept(first, Completion("", 3, 1), 1.0, settled=True)
            run.enter("update")
            losses = {"loss": 2 / iteration.finished, "loss_retain": 0.3}
            run.record(iteration, groups, kept, losses | {"steps": 12}, State())
            if iteration.finished % 2 == 0 and iteration.finished < self.iterations:
                self.measure(run, "during", iteration.finished)
        if self.finished:
            self.measure(run, "after", self.iterations)
            run.finish(run.recipe.model.load(run.recipe.data, 0))

    def group(self, question: Prompt, number: int) -> Group:
        numbers = range(self.completions)
        answers = tuple(Completion(self.answer.format(i=number, n=n), n, number) for n in numbers)
        rewards = tuple((number + n / self.completions) / self.iterations for n in numbers)
        return Group(question, answers, rewards, {self.reward: rewards, "length": (None,) * len(rewards)})

    def measure(self, run: Run, stage: str, done: int) -> None:
        share = done / self.iterations
        metrics = {
            "unlearn_quality": Metric(8 + 80 * share, "up", 3 + 80 * share, 12 + 80 * share),
            "utility": Metric(94 - 3 * share, "up", 91 - 3 * share, 97 - 3 * share),
            "forget_nll": Metric(0.2 + 3 * share, "up"),
            "retain_nll": Metric(0.25, "down"),
            self.metric: Metric(0.5 * share),
        }
        examples = [
            {"split": split, "prompt": question.content, "target": question.target, "score": share}
            | {"answer": self.answer.format(i=done, n=split)}
            for split in ("forget", "retain")
            for question in self.questions
        ]
        found = {"metrics": {name: asdict(metric) for name, metric in metrics.items()}, "examples": examples}
        run.evaluated({"model": stage, "iteration": done, "evaluator": "quality"} | found)


def language_run(directory: Path, **chosen: Any) -> Path:
    language = Language(**chosen)
    recipe = toy_recipe(
        f"iterations={language.iterations}",
        f"completions_per_prompt={language.completions}",
        "filter={use: best-of-n}",
    )
    run = create_run(recipe, TOY.read_text(), MANIFEST, directory)
    language.record(run)
    run.close()
    return directory


class Page(HTMLParser):
    """What a browser would make of it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.seen: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.seen.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.seen).split())


def report(*runs: Path) -> Page:
    to = runs[0].parent / "out.html"
    write_report(runs, to)
    page = Page(to.read_text(encoding="utf-8"))
    assert page.open == []
    return page
