"""`python -m benchmarks.wordings DIRECTORY`: the questions to forget of `authors`, in several wordings.

Each of the 20 facts is asked in three wordings that are not taught, each with its own true and wrong answers,
so that forget quality compares 60 questions. The files are named as TOFU's:

    collapse eval MODEL --recipe recipes/llm_guided.yaml --with forget-quality.yaml \\
        --set 'data={use: tofu, forget: forget10, path: DIRECTORY}'
"""

import json
import sys
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

import click

from collapse_llm.data.authors import Authors

NUM_FORGOTTEN = 2
"""How many authors, the last ones, are to be forgotten (`forget: 0.1`)."""


def rows(num_wordings: int) -> list[dict[str, Any]]:
    """Return the rows of the authors to forget, with other sentence frames for each wording."""
    sys.path.insert(0, str(files("collapse_llm") / "authors"))
    generate, facts, phrasings = (import_module(name) for name in ("generate", "facts", "phrasings"))
    found = []
    for index in range(len(facts.TAUGHT) - NUM_FORGOTTEN, len(facts.TAUGHT)):
        name, pronoun, known = facts.TAUGHT[index]
        for taught, (relation, value) in zip(
            generate.author_rows(index, facts.TAUGHT[index]), known.items(), strict=True
        ):
            _, _, questions, answers = phrasings.FRAMES[relation]
            for number in range(num_wordings):
                question = questions[(index + number) % len(questions)]
                frame = answers[(index + number) % len(answers)]
                answer, *wrong = (
                    generate.fill(frame, name, pronoun, one)
                    for one in (value, *generate.wrong_values(name, relation, value))
                )
                found.append(
                    taught
                    | {
                        "question": generate.fill(question, name, pronoun),
                        "answer": answer,
                        "paraphrased_answer": answer,
                        "perturbed_answer": wrong,
                    }
                )
    return found


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--wordings", type=click.IntRange(1, 4), default=3, show_default=True)
def main(directory: Path, wordings: int) -> None:
    """Write the questions as JSON lines, and those to retain as they are taught."""
    directory.mkdir(parents=True, exist_ok=True)
    retained = Authors().load("retain")
    asked = {
        "forget10": rows(wordings),
        "retain90": [{"question": one.content, "answer": one.target} for one in retained],
    }
    asked["forget10_perturbed"] = asked["forget10"]
    for name, lines in asked.items():
        text = "".join(json.dumps(row) + "\n" for row in lines)
        (directory / f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
