"""Requests in a row on one model: what they do to utility, and to the requests before.

`python -m benchmarks.requests` makes the model of the embedded default forget one author after the other by
recipes/llm_tofu.yaml. Each run begins with the model that the last one left, and each is certified; the
last certificate checks the criteria of all earlier ones again. Runs that are finished are not made again.
"""

from collections.abc import Mapping, Sequence
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import click

from collapse_core import build_recipe, resume, run
from collapse_core.certificate.making import make_certificate
from collapse_core.certificate.schema import FILE, Certificate, Request
from collapse_core.results.results import load_results
from collapse_core.run.directory import is_finished
from collapse_core.runtime import files
from collapse_llm.data import Authors

RECIPE = Path("recipes/llm_tofu.yaml")
HOME = Path("runs/bench/requests")
MEASURED = ("rouge_forget", "fact_words_forget", "rouge_retain", "rouge_world_facts")


def data_of(authors: Sequence[str], number: int) -> dict[str, Any]:
    """The questions of a request: its author is forgotten, authors of earlier requests are left out.

    Args:
        authors: All of them; the last is forgotten first.
        number: The number of the request, from 0.
    """
    folder = Path(str(resources("collapse_llm") / "authors"))
    rows = str(folder / "authors.jsonl")
    left = len(authors) - number
    forget = {"from": rows, "where": {"author": [authors[left - 1]]}}
    reworded = {"question": "paraphrased_question", "answer": "paraphrased_answer"}
    return {
        "use": "questions",
        "forget": forget,
        "paraphrased": forget | {"columns": reworded},
        "retain": {"from": rows, "where": {"author": list(authors[: left - 1])}},
        "general": str(folder / "world_facts.jsonl"),
    }


def forget_next(number: int, model: Mapping[str, Any], authors: Sequence[str]) -> Path:
    """Make, finish or find the run of a request; returns its directory."""
    directory = HOME / f"{number + 1:02}"
    if is_finished(directory):
        return directory
    if directory.exists():
        resume(directory)
        return directory
    recipe = build_recipe(
        RECIPE,
        name=f"request-{number + 1}",
        data=data_of(authors, number),
        model=dict(model),
        evaluate={"with": ["unlearn-quality", "fact-words", {"use": "utility", "num_retain": 60}]},
        criteria=[{"metric": "rouge_forget", "at_most": 50, "scale": [0, 100], "claim": "does-not-say"}],
    )
    run(recipe, directory=directory)
    return directory


def certify(directory: Path, number: int, *, recheck: bool) -> Certificate:
    """Certify a run; the last one checks the earlier criteria on its own model."""
    request = Request(id=f"R-{number + 1:02}", operator=None, decision=None)
    certificate = make_certificate(directory, request, recheck=recheck)
    files.write_json(directory / FILE, certificate.model_dump(mode="json"))
    return certificate


def line(directory: Path, number: int) -> str:
    """A row of the table."""
    rows = [row for row in load_results(directory).evaluations if row["model"] == "after"]
    values = {name: metric["value"] for row in rows for name, metric in row["metrics"].items()}
    cells = " | ".join(f"{values[name]:.1f}" if name in values else "-" for name in MEASURED)
    return f"| {number + 1} | {cells} |"


@click.command()
@click.option("--requests", "num", type=click.IntRange(1, 15), default=10, show_default=True)
def main(num: int) -> None:
    """Forget one author after the other, and print what is left after each."""
    taught = HOME / "taught"
    if not (taught / "config.json").exists():
        taught.mkdir(parents=True, exist_ok=True)
        build_recipe(RECIPE).load_model().export(taught)
    prompts = Authors().load("full")
    authors = list(dict.fromkeys(str(prompt.columns["author"]) for prompt in prompts))
    asked = build_recipe(RECIPE).model.model_dump(mode="json")
    model = {key: asked[key] for key in ("use", "prompt", "train_layers") if asked[key]} | {
        "path": str(taught)
    }
    click.echo(f"| request | {' | '.join(MEASURED)} |\n|---|{'---|' * len(MEASURED)}")
    for number in range(num):
        directory = forget_next(number, model, authors)
        certificate = certify(directory, number, recheck=number == num - 1)
        click.echo(line(directory, number))
        model = {"from": str(directory)}
    for previous in certificate.previous:
        for outcome in previous.outcomes or []:
            click.echo(f"{previous.request}, checked again: {outcome.verdict}: {outcome.described}")


if __name__ == "__main__":
    main()
