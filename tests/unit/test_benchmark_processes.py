"""What a second process gains is measured by the timings of the same run."""

import pytest

from benchmarks.cells import read_results
from benchmarks.processes import main, means, rate

pytestmark = pytest.mark.model

SMALL = (
    "model.path=tiny-llama",
    "model.compute=float32",
    "sampler.max_new_tokens=4",
    "completions_per_prompt=2",
    "prompts_per_iteration=4",
    "retain_per_iteration=2",
)


def test_the_first_iteration_is_not_counted():
    rows = [
        {"iteration": iteration, "phase": phase, "seconds": seconds}
        for iteration, phase, seconds in [
            (0, "load", 9), (0, "sample", 9), (0, "update", 9), (1, "sample", 1), (1, "update", 2),
            (2, "sample", 2), (2, "update", 4), (2, "save", 9),
        ]
    ]  # fmt: skip
    assert means(rows) == {"sample": 1.5, "update": 3.0}


@pytest.mark.parametrize("work", ["products", "memory"])
def test_what_a_process_does_alone_is_a_rate(work):
    assert rate(work, 0.01) > 0


@pytest.mark.slow
@pytest.mark.process
def test_one_process_is_set_against_two(tmp_path, capsys):
    sets = [word for setting in SMALL for word in ("--set", setting)]
    main(["--results", str(tmp_path), *sets])
    [found] = read_results(tmp_path, "processes")
    for phase in ("sample", "update"):
        numbers = found[phase]
        assert numbers["ratio"] == pytest.approx(numbers["one"] / numbers["more"])
    assert {"products", "memory"} <= found.keys()
    assert capsys.readouterr().out.count("\n") == 5
