"""A few of what `make nightly` tries by the thousand: recipes gone wrong are refused in plain words."""

import random

import pytest
from mutated_recipes import RECIPES, Said, check, fault_of_validation
from mutations import mutate
from ruamel.yaml import YAML


def test_mutated_recipes_are_valid_or_refused_with_file_and_line(tmp_path):
    found = check(50, 1, tmp_path, tmp_path / "keep")
    assert found.failures == []
    assert found.counts["refused"] >= 30
    assert found.counts["valid"] >= 3
    assert found.counts["run"] >= 1


def test_what_is_mutated_depends_on_the_seed_alone():
    text = (RECIPES / "toy" / "no_collapse.yaml").read_text()
    others = [YAML(typ="safe", pure=True).load(text)]
    first, second, other = (
        [mutate(random.Random(f"{seed}/{number}"), text, others) for number in range(20)]
        for seed in (1, 1, 2)
    )
    assert first == second
    assert first != other


@pytest.mark.parametrize(
    ("code", "err", "wrong"),
    [
        (2, "{home}/r.yaml:3:1: name: is missing\n", ""),
        (2, "{home}/r.yaml: cannot be read: no such file or directory\n", ""),
        (2, "{home}/r.yaml: name: is missing\n", "a line of the error names no line of the file"),
        (2, "name: is missing\n", "a line of the error names no file"),
        (2, "{home}/r.yaml:3:1: a\x1b[2J: unknown key\n", "a control character is sent: '\\x1b'"),
        (2, "{home}/r.yaml:3:1: " + "a" * 3_000 + "\n", "an error of 1 lines and"),
        (2, "{home}/r.yaml:3:1: name: is missing\n" * 30, "an error of 30 lines and"),
        (1, "collapse: KeyError: 'x'; 'collapse --debug ...' shows the traceback\n", "not the project's own"),
        (1, "collapse: something\n", "exit code 1"),
        (124, "", "hangs"),
        (0, "", "it is not said to be valid"),
    ],
)
def test_what_the_check_calls_a_failure(tmp_path, code, err, wrong):
    found = fault_of_validation(Said(code, "", err.replace("{home}", str(tmp_path))), tmp_path)
    assert found == wrong if not wrong else wrong in found
