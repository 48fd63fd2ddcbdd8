"""The run directory: what is in it, who may write it, and which runs may go on."""

import json
import shutil

import pytest

from collapse_core import CollapseError, RecipeError, State, collapse, create_run, load_recipe, open_run
from collapse_core.recipe.stored import load_stored
from collapse_core.runtime.digests import digest, file_digest, text_digest


@pytest.fixture
def begin(toy, tmp_path):
    """Begins a run of the toy as the command line does; `stop_after` interrupts it."""

    def begin(path=None, stop_after=None, overrides=(), name="run"):
        path = path or toy()
        loaded, source = load_recipe(path, overrides), path.read_text()
        origin = {"directory": str(path.parent), "overrides": list(overrides), "digest": text_digest(source)}
        files = {file: file_digest(path.parent / file) for file in loaded.plugins}
        run = create_run(loaded, source, {"recipe": origin, "plugin_files": files}, tmp_path / name)
        if stop_after is not None:
            run.recorded, run.record = run.record, stop_at(run, stop_after)
        collapse(loaded, run)
        run.close()
        return run

    def stop_at(run, number):
        def record(iteration, *more):
            run.recorded(iteration, *more)
            run.interrupted = iteration.number == number

        return record

    return begin


def resume(directory):
    run = open_run(directory, load_stored(directory))
    collapse(run.recipe, run)
    run.close()
    return run


def test_a_run_leaves_behind_what_the_documentation_says(begin):
    run = begin()
    found = {path.name for path in run.directory.iterdir()}
    assert found == {
        "recipe.yaml",
        "resolved.json",
        "environment.json",
        "status.json",
        "journal.jsonl",
        "evaluations.jsonl",
        "timings.jsonl",
        "completions",
        "checkpoints",
        "model",
        ".lock",
    }
    resolved = json.loads((run.directory / "resolved.json").read_text())
    assert resolved["digest"] == digest(resolved["recipe"])
    assert resolved["recipe"]["updater"]["retain_weight"] == 1.0
    status = json.loads((run.directory / "status.json").read_text())
    assert (status["status"], status["iteration"], status["of"]) == ("finished", 4, 4)


def test_only_the_last_checkpoints_stay(begin, toy):
    run = begin(toy(iterations="iterations: 7", checkpoint="checkpoint: {every: 2, keep: 3}"))
    assert sorted(path.name for path in (run.directory / "checkpoints").iterdir()) == ["4", "6", "7"]
    assert all((path / "COMPLETE").exists() for path in (run.directory / "checkpoints").iterdir())


def test_completions_are_not_written_when_they_are_not_to_be_kept(begin, toy):
    run = begin(toy(more="keep_text: false\n"))
    assert list((run.directory / "completions").iterdir()) == []


def test_every_completion_is_written_with_its_rewards_and_whether_it_was_kept(begin):
    run = begin()
    rows = [json.loads(line) for line in (run.directory / "completions/00000.jsonl").read_text().splitlines()]
    assert len(rows) == 16
    assert sum(row["kept"] for row in rows) == 8
    for row in rows:
        assert (
            row["reward"]
            == row["rewards"]["not-among"]
            == float(row["answer"] not in ("Toronto", "Montreal", "Vancouver"))
        )
        assert row["policy_version"] == 0


def test_a_directory_with_results_is_never_reused(begin, toy, tmp_path, collapse_here):
    begin()
    before = (tmp_path / "run" / "journal.jsonl").read_bytes()
    done = collapse_here("run", toy(), "--run-dir", tmp_path / "run")
    assert done.code == 1
    assert done.err == (
        f"collapse: {tmp_path / 'run'} already holds a run; give another --run-dir, or continue it with "
        f"'collapse resume {tmp_path / 'run'}'\n"
    )
    assert (tmp_path / "run" / "journal.jsonl").read_bytes() == before


def test_nor_is_a_directory_that_holds_something_else(toy, tmp_path, collapse_here):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("precious")
    done = collapse_here("run", toy(), "--run-dir", tmp_path / "other")
    assert (done.code, "is not empty, and holds no run" in done.err) == (1, True)
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["thesis.tex"]


def test_an_empty_directory_may_be_used(toy, tmp_path, collapse_here):
    (tmp_path / "empty").mkdir()
    assert collapse_here("run", toy(), "--run-dir", tmp_path / "empty").code == 0


def test_two_processes_cannot_work_on_one_run(begin):
    run = begin(stop_after=1)
    recipe = load_stored(run.directory)
    first = open_run(run.directory, recipe)
    with pytest.raises(CollapseError, match="is being worked on by another process"):
        open_run(run.directory, recipe)
    first.close()
    open_run(run.directory, recipe).close()


def test_a_finished_run_is_not_resumed(begin):
    run = begin()
    with pytest.raises(CollapseError, match="is finished; read its report"):
        open_run(run.directory, load_stored(run.directory))


def test_what_was_recorded_after_the_checkpoint_is_done_again(begin):
    """As after a kill: lines, files and drafts that no checkpoint covers, and a torn line."""
    whole = begin(name="whole").directory
    run = begin(stop_after=1).directory
    with (run / "journal.jsonl").open("ab") as file:
        file.write(b'{"iteration": 2, "num_prompts": 99}\n{"iteration": 3, "torn \xc3')
    (run / "evaluations.jsonl").open("ab").write(
        b'{"model": "after", "iteration": 4, "evaluator": "x"}\n{"mod'
    )
    (run / "completions" / "00002.jsonl").write_text("never finished")
    (run / "completions" / ".00003.jsonl.1.draft").write_text("half")
    (run / ".model.draft").mkdir()
    unfinished = run / "checkpoints" / "3"
    unfinished.mkdir()
    (unfinished / "probabilities.json").write_text("{")
    resume(run)
    for name in (
        "journal.jsonl",
        "evaluations.jsonl",
        "model/probabilities.json",
        "checkpoints/4/state.json",
    ):
        assert (run / name).read_bytes() == (whole / name).read_bytes(), name
    for folder in ("", "completions", "checkpoints"):
        assert sorted(p.name for p in (run / folder).iterdir()) == sorted(
            p.name for p in (whole / folder).iterdir()
        )


def test_a_checkpoint_without_its_last_file_does_not_count(begin):
    run = begin(stop_after=2).directory
    assert (run / "checkpoints" / "3").exists()
    (run / "checkpoints" / "3" / "COMPLETE").unlink()
    (run / "checkpoints" / "3" / "probabilities.json").write_text("torn")
    whole = begin(name="whole").directory
    resume(run)
    assert (run / "journal.jsonl").read_bytes() == (whole / "journal.jsonl").read_bytes()


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def refused(run):
    with pytest.raises(RecipeError) as caught:
        load_stored(run)
    assert caught.value.exit_code == 2
    return {problem.path for problem in caught.value.problems}


def test_a_run_whose_recipe_was_edited_is_refused_and_the_keys_are_named(begin):
    run = begin(stop_after=1).directory
    edit(run / "recipe.yaml", "num_draws: 8", "num_draws: 9")
    edit(run / "recipe.yaml", "iterations: 4", "iterations: 40")
    assert refused(run) == {"data.num_draws", "iterations"}


def test_so_is_one_whose_resolved_recipe_was_edited(begin):
    run = begin(stop_after=1).directory
    edit(run / "resolved.json", '"iterations": 4', '"iterations": 40')
    assert refused(run) == {"iterations"}


def test_a_comment_is_no_change(begin):
    run = begin(stop_after=1).directory
    edit(run / "recipe.yaml", "name: toy", "# A comment.\nname: toy")
    resume(run)


def test_what_was_set_on_the_command_line_is_part_of_the_recipe(begin):
    run = begin(stop_after=1, overrides=["iterations=3"]).directory
    assert load_stored(run).iterations == 3
    edit(run / "recipe.yaml", "name: toy", "name: toy\nseed: 5")
    assert refused(run) == {"seed"}


PLUGIN = """
from pathlib import Path
from collapse_core import Entry, Reward, hookimpl


class Mine(Reward):
    \"\"\"Mine.\"\"\"

    def score(self, prompt, completions, reference):
        return [1.0 for _ in completions]


@hookimpl
def collapse_components():
    yield Entry("reward", "mine", Mine)
"""


@pytest.fixture
def with_plugin(toy, tmp_path):
    (tmp_path / "mine.py").write_text(PLUGIN)
    path = toy(more="plugins: [mine.py]\n")
    edit(path, "{use: not-among, categories: [Toronto, Montreal, Vancouver]}", "{use: mine}")
    return path


def test_a_plugin_file_that_has_changed_is_refused_before_it_is_run(begin, with_plugin, tmp_path):
    run = begin(with_plugin, stop_after=1).directory
    edit(tmp_path / "mine.py", "from pathlib import Path\n", f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    assert refused(run) == {f"plugins ({tmp_path / 'mine.py'})"}
    assert not (tmp_path / "ran").exists()
    (tmp_path / "mine.py").unlink()
    assert refused(run) == {f"plugins ({tmp_path / 'mine.py'})"}
    (tmp_path / "mine.py").write_text(PLUGIN)
    resume(run)


def test_a_plugin_named_on_the_command_line_is_found_from_anywhere(
    with_plugin, tmp_path, monkeypatch, collapse_here
):
    edit(with_plugin, "plugins: [mine.py]\n", "")
    monkeypatch.chdir(tmp_path)
    done = collapse_here("run", with_plugin, "--set", "plugins=[mine.py]", "--run-dir", tmp_path / "run")
    assert done.code == 0, done.err
    monkeypatch.chdir("/")
    assert load_stored(tmp_path / "run").plugins == [str(tmp_path / "mine.py")]


def test_a_recipe_that_has_moved_since_can_still_be_resumed(begin, toy, tmp_path):
    base = toy("base.yaml")
    path = tmp_path / "more.yaml"
    path.write_text("extends: base.yaml\nname: more\n")
    run = begin(path, stop_after=1).directory
    base.unlink()
    path.unlink()
    assert resume(run).finished


def test_a_run_can_be_moved(begin, tmp_path):
    run = begin(stop_after=1).directory
    shutil.move(run, tmp_path / "elsewhere")
    assert resume(tmp_path / "elsewhere").finished


def test_a_run_without_a_checkpoint_begins_anew(begin):
    whole = begin(name="whole").directory
    run = begin(stop_after=0).directory
    shutil.rmtree(run / "checkpoints")
    (run / "checkpoints").mkdir()
    resume(run)
    assert (run / "evaluations.jsonl").read_bytes() == (whole / "evaluations.jsonl").read_bytes()


def test_a_folder_that_is_no_run_says_so(tmp_path):
    with pytest.raises(CollapseError, match="holds no run"):
        load_stored(tmp_path)


NOTHING = """
from collapse_core import Dataset, Entry, Prompt, PromptSet, hookimpl


class Nothing(Dataset):
    \"\"\"Nothing to forget.\"\"\"

    def load(self, split, *, targets=True):
        return PromptSet(() if split == "forget" else (Prompt("a", "draw", "Ottawa"),))


@hookimpl
def collapse_components():
    yield Entry("dataset", "nothing", Nothing)
"""


def test_an_empty_forget_set_is_an_error(toy, begin, tmp_path):
    (tmp_path / "nothing.py").write_text(NOTHING)
    with pytest.raises(
        CollapseError, match="'nothing' has an empty forget split; there is nothing to unlearn"
    ):
        begin(toy(data="data: {use: nothing}", more="plugins: [nothing.py]\n"))


def test_the_state_starts_before_the_first_iteration(begin):
    run = begin(stop_after=0).directory
    stored = json.loads((run / "checkpoints" / "1" / "state.json").read_text())
    assert State.from_json(stored, {}).iteration == 1
    assert len(stored["references"]) == 8
