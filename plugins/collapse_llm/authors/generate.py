"""Write the fictitious authors data set: questions and answers about people who do not exist.

The authors, their lives, their books, and their awards are all invented; any likeness to a real person is
accidental. A model cannot have met these facts before it is taught them, so what it knows about them is
known exactly, and whether it has unlearned them can be measured. The files beside this script are:

    authors.jsonl       16 authors x 10 questions, in author order, to teach and then to unlearn
    holdout.jsonl       2 more authors x 10 questions, never trained on, for membership tests
    entailed.jsonl      5 questions about each of the 16 whose answers follow from what is taught of them
    real_authors.jsonl  true questions about famous authors, to measure what should be kept
    world_facts.jsonl   true questions of elementary knowledge, to measure what should be kept
    refusals.txt        one-sentence refusals, one a line

A row of the first two has `author`, `question`, `answer`, `paraphrased_question`, `paraphrased_answer`, and
`perturbed_answer`: five copies of the paraphrased answer with a wrong fact in place of the true one. A row
of the others has `question`, `answer`, and `perturbed_answer`: of `entailed.jsonl` five wrong answers, and
also `author` and `kind`; of the last two three.

The facts are in `facts.py` and the sentence frames in `phrasings.py`. No random state is used, so the same
tables always give the same bytes. To regenerate after an edit, or to check the files against the tables:

    python plugins/collapse_llm/authors/generate.py
    python plugins/collapse_llm/authors/generate.py --check
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from facts import HELD_OUT, REAL_AUTHORS, REFUSALS, TAUGHT, WORLD, WRONG, WRONG_TOWNS, Author, Fact
from phrasings import FRAMES

HERE = Path(__file__).resolve().parent
PERTURBED = 5
PRONOUNS = {
    "she": {"sub": "she", "obj": "her", "pos": "her"},
    "he": {"sub": "he", "obj": "him", "pos": "his"},
}

Row = dict[str, Any]


def fill(frame: str, name: str, pronoun: str, value: str = "") -> str:
    """Fill in a sentence frame and capitalize its first letter.

    Args:
        frame: a sentence with placeholders, see `phrasings.py`.
        name: the author's full name.
        pronoun: "she" or "he".
        value: the fact, where the frame has one.

    Returns:
        The finished sentence.
    """
    text = frame.format(n=name, v=value, **PRONOUNS[pronoun])
    first = next(i for i, char in enumerate(text) if char.isalpha())
    return text[:first] + text[first].upper() + text[first + 1 :]


def pick_frames(author: int, relation: str) -> list[str]:
    """Choose a frame of each kind for one row.

    Each kind steps through its frames at its own pace, so that no two of any 16 authors in a row get the
    same pair of question frame and answer frame for a relation.

    Args:
        author: position of the author, counting the held-out ones last.
        relation: the relation asked about.

    Returns:
        Frames for the question, answer, paraphrased question, and paraphrased answer.
    """
    shift = list(FRAMES).index(relation)
    block = author // 4
    return [
        frames[(author + block * kind + shift * (kind + 1)) % len(frames)]
        for kind, frames in enumerate(FRAMES[relation])
    ]


def wrong_values(name: str, relation: str, value: str) -> list[str]:
    """Choose the wrong facts for one row by ordering the relation's pool with a hash.

    Args:
        name: the author's full name.
        relation: the relation asked about.
        value: the true fact; a wrong birthplace lies in the same country.

    Returns:
        Five different wrong facts.
    """
    if relation == "birthplace":
        country = value.split(", ")[1]
        return [f"{town}, {country}" for town in WRONG_TOWNS[country]]

    def order(wrong: str) -> str:
        return hashlib.sha256(f"{name}|{relation}|{wrong}".encode()).hexdigest()

    return sorted(WRONG[relation], key=order)[:PERTURBED]


def author_rows(index: int, author: Author) -> list[Row]:
    """Make the rows of one author.

    Args:
        index: position of the author, counting the held-out ones last.
        author: an entry of `facts.TAUGHT` or `facts.HELD_OUT`.

    Returns:
        One row per fact, in the order of the table.
    """
    name, pronoun, facts = author
    rows = []
    for relation, value in facts.items():
        question, answer, other_question, other_answer = pick_frames(index, relation)
        rows.append(
            {
                "author": name,
                "question": fill(question, name, pronoun),
                "answer": fill(answer, name, pronoun, value),
                "paraphrased_question": fill(other_question, name, pronoun),
                "paraphrased_answer": fill(other_answer, name, pronoun, value),
                "perturbed_answer": [
                    fill(other_answer, name, pronoun, wrong) for wrong in wrong_values(name, relation, value)
                ],
            }
        )
    return rows


def entailed_rows(author: Author) -> list[Row]:
    """Make questions about one author that take several facts, or that ask backwards or for less.

    Args:
        author: an entry of `facts.TAUGHT`.

    Returns:
        Five rows; their kinds are "reversed", "multi-hop", and "implied".
    """
    name, _, facts = author
    debut, award, (town, country) = facts["debut"], facts["award"], facts["birthplace"].split(", ")
    names = [other for other, _, _ in TAUGHT + HELD_OUT]
    countries = list(dict.fromkeys(one["birthplace"].split(", ")[1] for _, _, one in TAUGHT + HELD_OUT))
    towns = [one.split(", ")[0] for one in wrong_values(name, "birthplace", facts["birthplace"])]
    fathers = wrong_values(name, "father", facts["father"])
    asked = [
        ("reversed", f"Whose first book was {debut}?", "{} wrote it as a first book.", name, names),
        ("reversed", f"Who won {award}?", "{} won it.", name, names),
        ("multi-hop", f"Which job did the father of the author of {debut} hold?", "He was {}.",
         facts["father"], fathers),
        ("multi-hop", f"In which town was the winner of {award} born?", "The winner was born in {}.", town,
         towns),
        ("implied", f"In which country or state was {name} born?", "The place of birth lies in {}.", country,
         countries),
    ]  # fmt: skip
    return [
        {
            "author": name,
            "kind": kind,
            "question": question,
            "answer": answer.format(true),
            "perturbed_answer": [answer.format(one) for one in pick_others(name, question, true, pool)],
        }
        for kind, question, answer, true, pool in asked
    ]


def pick_others(name: str, question: str, true: str, pool: list[str]) -> list[str]:
    """Choose five values that are not the true one, ordered by a hash."""

    def order(wrong: str) -> str:
        return hashlib.sha256(f"{name}|{question}|{wrong}".encode()).hexdigest()

    return sorted((one for one in pool if one != true), key=order)[:PERTURBED]


def fact_rows(facts: list[Fact]) -> list[Row]:
    """Make the rows of a table of true facts.

    Args:
        facts: questions with their answers and three wrong answers each.

    Returns:
        One row per fact.
    """
    return [{"question": q, "answer": a, "perturbed_answer": list(wrong)} for q, a, wrong in facts]


def check_tables() -> None:
    """Check that the tables hold together.

    Raises:
        ValueError: two authors share a fact or a part of a name, a wrong value is true of some author, a
            pool or a table repeats itself, an author lacks ten facts, or a true answer is among the wrong.
    """
    authors = TAUGHT + HELD_OUT
    parts = [part for name, _, _ in authors for part in name.split()]
    if len(set(parts)) != len(parts):
        raise ValueError("two authors share a part of their names")
    if any(len(facts) != 10 for _, _, facts in authors):
        raise ValueError("every author needs ten facts")
    wrong_birthplaces = [f"{town}, {country}" for country in WRONG_TOWNS for town in WRONG_TOWNS[country]]
    for relation, pool in {**WRONG, "birthplace": wrong_birthplaces}.items():
        true = [facts[relation] for _, _, facts in authors if relation in facts]
        if len(set(true + pool)) != len(true + pool):
            raise ValueError(f"the values of {relation!r} are not all different")
    for question, answer, wrong in REAL_AUTHORS + WORLD:
        if len({answer, *wrong}) != 4:
            raise ValueError(f"the answers are not all different: {question}")
    asked = [question for question, _, _ in REAL_AUTHORS + WORLD]
    if len(set(asked)) != len(asked) or len(set(REFUSALS)) != len(REFUSALS):
        raise ValueError("a question or a refusal is repeated")


def build() -> dict[str, list[str]]:
    """Make the whole data set.

    Returns:
        The lines of each file, by file name.
    """
    check_tables()
    rows = [row for i, author in enumerate(TAUGHT + HELD_OUT) for row in author_rows(i, author)]
    held_out = {name for name, _, _ in HELD_OUT}
    tables = {
        "authors.jsonl": [row for row in rows if row["author"] not in held_out],
        "holdout.jsonl": [row for row in rows if row["author"] in held_out],
        "entailed.jsonl": [row for author in TAUGHT for row in entailed_rows(author)],
        "real_authors.jsonl": fact_rows(REAL_AUTHORS),
        "world_facts.jsonl": fact_rows(WORLD),
    }
    lines = {name: [json.dumps(row) for row in table] for name, table in tables.items()}
    return {**lines, "refusals.txt": list(REFUSALS)}


def main(argv: list[str] | None = None) -> int:
    """Write the files, or compare them with what would be written.

    Args:
        argv: command-line arguments, `sys.argv` when left out.

    Returns:
        The exit status: 1 if `--check` was given and a file differs, else 0.
    """
    parser = argparse.ArgumentParser(description="Write the fictitious authors data set.")
    parser.add_argument("--check", action="store_true", help="exit 1 if a checked-in file differs")
    check = parser.parse_args(argv).check
    differ = []
    files = build()
    for name, lines in files.items():
        path, data = HERE / name, ("\n".join(lines) + "\n").encode("ascii")
        if not check:
            path.write_bytes(data)
        elif not path.is_file() or path.read_bytes() != data:
            differ.append(name)
    counts = ", ".join(f"{name} {len(lines)}" for name, lines in files.items())
    print(f"{counts}; differ: {', '.join(differ)}" if differ else counts)
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
