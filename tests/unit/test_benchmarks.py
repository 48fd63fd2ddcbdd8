"""The benchmark compares like with like, and counts what it says it counts."""

from dataclasses import replace
from statistics import fmean

import pytest

from benchmarks.cells import CELLS, Cell, Job, jobs, read_results, write_result
from benchmarks.material import load_material, questions
from benchmarks.measure import measure, measure_sampling, measure_update
from benchmarks.named_columns import make_column
from benchmarks.profiling import CHOOSING, FORWARD, LOSS, group_of, measure_profile
from benchmarks.rates import measure_rates
from benchmarks.running import run_missing, trl_installed
from benchmarks.table import tables
from collapse_core import CollapseError
from collapse_llm.data import Authors

pytestmark = pytest.mark.model

needs_trl = pytest.mark.skipif(not trl_installed(), reason="trl is not installed")
EVERY_COLUMN = ["reference", "ours", "ours-auto", pytest.param("trl", marks=needs_trl)]
LIKE_THE_REFERENCE = ["ours", pytest.param("trl", marks=needs_trl)]

TINY = Job(Cell("tiny-llama", 6, 3), "reference", "float32", batch_size=4)


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def loaded(column, **changes):
    material = load_material(replace(TINY, column=column, **changes))
    return material, make_column(column, material)


@pytest.mark.parametrize("name", LIKE_THE_REFERENCE)
def test_all_columns_give_the_same_greedy_answers_of_the_same_lengths(name):
    material, reference = loaded("reference")
    expected = reference.greedy(material.prompts)
    found = loaded(name)[1].greedy(material.prompts)
    for theirs, ours in zip(expected, found, strict=True):
        assert ours.group.completions[0].content == theirs.group.completions[0].content
        assert ours.num_tokens == theirs.num_tokens
    assert len({one.num_tokens for one in expected}) > 1, "a case in which all answers are equally long"


def test_the_references_are_the_greedy_answers_of_the_reference_loop():
    material, reference = loaded("reference")
    answers = [one.group.completions[0].content for one in reference.greedy(material.prompts)]
    agreement = fmean(material.references[p.id] == a for p, a in zip(material.prompts, answers, strict=True))
    assert agreement >= 0.5, "they are made once, in the precision of the recipe"


def test_the_reference_decodes_every_row_until_the_longest_has_ended():
    material, column = loaded("reference")
    shapes, generate = [], column.call_generate

    def noting(**inputs):
        out = generate(**inputs)
        shapes.append((*inputs["input_ids"].shape, out.shape[1]))
        return out

    column.call_generate = noting
    found, draws = measure_sampling(column, material, 3)
    assert [rows for rows, _, _ in shapes] == [12, 6]
    assert found["tokens"]["decoded"] == sum(rows * (length - read) for rows, read, length in shapes)
    assert found["tokens"]["prefilled"] == sum(rows * read for rows, read, _ in shapes)
    assert found["tokens"]["useful"] == sum(sum(one.num_tokens) for one in draws)
    assert found["tokens"]["useful"] < found["tokens"]["decoded"]


def test_our_useful_tokens_are_the_answers_with_their_ends():
    material, column = loaded("ours")
    cold = material.recipe.sampler.model_copy(update={"temperature": 1e-4})
    column.recipe = material.recipe.model_copy(update={"sampler": cold})
    found, draws = measure_sampling(column, material, 3)
    _, reference = loaded("reference")
    lengths = [one.num_tokens[0] for one in reference.greedy(material.prompts)]
    finished = [
        (n, length)
        for one, length in zip(draws, lengths, strict=True)
        for n, c in zip(one.num_tokens, one.group.completions, strict=True)
        if c.finished
    ]
    assert finished
    assert all(n == length for n, length in finished)
    assert found["tokens"]["useful"] == sum(sum(one.num_tokens) for one in draws)
    assert found["tokens"]["useful"] <= found["tokens"]["decoded"]
    assert found["tokens"]["prompt"] <= found["tokens"]["prefilled"]


def test_the_reference_reads_three_times_what_it_pads_to_two_hundred():
    material, column = loaded("reference")
    kept = column.score(column.sample(material.prompts, 2))
    tokens = measure_update(column, material, kept)["tokens"]
    assert tokens["processed"] == tokens["projected"] == 3 * len(material.prompts) * 200


@pytest.mark.parametrize("name", LIKE_THE_REFERENCE)
def test_the_others_process_less_for_the_same_rows(name):
    material, column = loaded(name)
    kept = column.score(column.sample(material.prompts, 2))
    tokens = measure_update(column, material, kept)["tokens"]
    assert tokens["examples"] <= tokens["processed"] < 2 * len(material.prompts) * 200
    assert tokens["useful"] < tokens["examples"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, _own_cache):
    """The results of every column that can be measured here."""
    folder = tmp_path_factory.mktemp("results")
    names = ["reference", "ours", "ours-auto", *(["trl"] if trl_installed() else [])]
    for name in names:
        measure(replace(TINY, column=name), folder)
    return folder


@pytest.mark.parametrize("name", EVERY_COLUMN)
def test_every_column_is_measured_from_end_to_end(name, folder):
    [result] = [r for r in read_results(folder, "iteration") if r["job"]["column"] == name]
    assert Job.from_json(result["job"]) == replace(TINY, column=name)
    sample, score = result["sample"], result["score"]
    assert sample["num_rows"] == 18
    assert 18 <= sample["tokens"]["useful"] <= sample["tokens"]["decoded"]
    assert sample["seconds"] > 0
    assert sample["peak_bytes"] > 2**26
    assert 0 <= score["mean_kept_overlap"] < 1
    [update] = [r["update"] for r in read_results(folder, "update") if r["job"]["column"] == name]
    assert update["num_rows"] == 12
    assert update["seconds"] > 0


def test_the_update_is_measured_once_for_each_number_of_questions(folder):
    before = list(read_results(folder, "update"))
    measure(replace(TINY, cell=Cell("tiny-llama", 6, 2)), folder)
    assert list(read_results(folder, "update")) == before
    lines = list(tables(folder, markdown=False))
    rows = [line for line in lines[lines.index("The iteration") :] if " reference " in line]
    assert rows[0].split()[:2] == ["6", "2"]
    assert "*" in rows[0]
    (folder / f"{replace(TINY, cell=Cell('tiny-llama', 6, 2)).name}.json").unlink()


def test_the_tables_set_every_column_against_the_reference(folder):
    text = "\n".join(tables(folder, markdown=True))
    assert text.startswith("### tiny-llama, float32, batches of 4 questions")
    for result in read_results(folder, "iteration"):
        assert f" {result['job']['column']} |" in text
    first = next(line for line in text.splitlines() if " reference |" in line)
    assert [cell.strip() for cell in first.strip("|").split("|")][-3:] == ["1.00"] * 3


def test_a_rerun_takes_up_only_what_is_missing(folder, capsys):
    said = []
    done = [Job.from_json(r["job"]) for r in read_results(folder, "iteration")]
    assert run_missing(done, folder, said.append) == 0
    assert [line.rpartition(": ")[2] for line in said] == ["is there"] * len(done)


@pytest.mark.slow
def test_rates_and_profiles_are_measured(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.rates.NUM_ROWS", (2,))
    ours = replace(TINY, column="ours", cell=Cell("tiny-llama", 2, 2))
    measure_rates(ours, tmp_path)
    measure_profile(ours, tmp_path)
    [rates] = read_results(tmp_path, "rates")
    assert rates["rates"][0]["prefill"] > 0
    assert rates["rates"][0]["decode"] > 0
    [found] = read_results(tmp_path, "profile")
    for phase in ("sample", "update"):
        groups = {name: seconds for name, seconds in found[phase].items() if name != "all"}
        assert groups["matrix products"] > 0
        assert sum(groups.values()) == pytest.approx(found[phase]["all"], rel=0.01)
    write_result(tmp_path, "one", {"kind": "iteration", "job": {}})
    assert len(list(tmp_path.glob("*.json"))) == 3


@pytest.mark.parametrize(
    ("operator", "above", "group"),
    [
        ("mm", ["aten::linear", FORWARD], "matrix products"),
        ("bmm", [FORWARD], "attention"),
        ("copy_", [FORWARD], "cache copies"),
        ("copy_", ["aten::_to_copy", FORWARD], "normalization and elementwise"),
        ("mm", ["autograd::engine::evaluate_function: MmBackward0"], "matrix products"),
        ("_fused_adamw_", ["Optimizer.step#AdamW.step"], "optimizer"),
        ("cumsum", [], CHOOSING),
    ],
)
def test_an_operator_belongs_to_what_calls_it(operator, above, group):
    assert group_of(operator, above, CHOOSING) == group
    assert (group_of(operator, above, LOSS) == LOSS) == (group == CHOOSING)


def test_more_questions_than_there_are_is_an_error():
    with pytest.raises(CollapseError, match=r"there are \d+ questions, not 100000; choose a smaller cell"):
        questions(Authors(), 100_000)


def test_two_hundred_questions_are_found_where_two_hundred_are_asked_for():
    found = questions(Authors(), 200)
    assert len({p.content for p in found}) == len({p.id for p in found}) == 200
    assert all(p.target for p in found)
    forget = [p.content for p in Authors().load("forget")]
    assert [p.content for p in found[: len(forget)]] == forget


def test_the_cells_are_those_of_the_table():
    assert len(jobs(CELLS, ["reference", "ours"], "float32", 5)) == 16
    assert Cell.parse("smollm2:40:20") in CELLS
    for text in ("gpt:40:5", "smollm2:40", "smollm2:x:5", "smollm2:0:5"):
        with pytest.raises(CollapseError, match="MODEL:QUESTIONS:COMPLETIONS"):
            Cell.parse(text)
