"""A reward function is looked at with the recipe, and those of TRL are called as TRL calls them."""

import re

import pytest

from collapse_core import CollapseError, Prompt, RecipeError, load_recipe
from collapse_core.parts.callable import Function
from collapse_core.testing import numbered

HERE = __name__
SAID = [{"role": "user", "content": "Where was Ada born?"}]


def in_trls_style(prompts, completions, **kwargs):
    """The form that TRL's documentation gives."""
    return [float(len(completion)) for completion in completions]


def with_columns(completions, difficulty, log_metric=None, **kwargs):
    log_metric("mean", 1.0)
    return [float(d) for d in difficulty]


def of_conversations(completions, prompts, **kwargs):
    return [
        float(len(c[0]["content"])) if p == SAID and c[0]["role"] == "assistant" else None
        for c, p in zip(completions, prompts, strict=True)
    ]


async def slowly(prompts, completions, **kwargs):
    return [0.5 for _ in completions]


def with_answers(prompts, completions, solution, **kwargs):
    return [0.0 for _ in completions]


def in_our_style(completions, prompt, **more):
    return [float(completion.number) for completion in completions]


def scored(function, contents, prompt):
    reward = Function(use="callable", function=f"{HERE}:{function}")
    reward.prepare(None, [prompt], {})
    return list(reward.score(prompt, numbered(contents), None))


def test_trls_reward_functions_work_as_they_are():
    prompt = Prompt("a", "Where?", columns={"difficulty": 3})
    assert scored("in_trls_style", ["Rome", "In Rome"], prompt) == [4.0, 7.0]
    assert scored("with_columns", ["Rome", "In Rome"], prompt) == [3.0, 3.0]
    assert scored("of_conversations", ["Rome"], Prompt("a", SAID)) == [4.0]
    assert scored("slowly", ["Rome", "Oslo"], prompt) == [0.5, 0.5]


def test_a_function_of_ours_may_take_more():
    assert scored("in_our_style", ["Rome", "Oslo"], Prompt("a", "Where?")) == [0.0, 1.0]


def test_a_column_that_is_not_there_is_missed_before_anything_is_sampled(toy):
    data = load_recipe(toy()).data
    reward = Function(function=f"{HERE}:with_answers")
    with pytest.raises(CollapseError, match="asks for solution, which is no column of the data set 'cities'"):
        reward.prepare(data, [Prompt("a", "draw")], {})


WRONG = {
    "def f(completion):": "asks for completion; it may ask for prompt, completions, contents, reference",
    "def f(contents, /):": "takes contents by position only",
    "def f(prompts, completion_ids, **kwargs):": "asks for completion_ids, which only TRL's trainer has",
    "async def f(texts, *, more):": "asks for texts, more",
}


@pytest.mark.parametrize("line", WRONG)
@pytest.mark.parametrize("installed", [False, True], ids=["file", "module"])
def test_a_signature_is_checked_with_the_recipe(line, installed, toy, tmp_path, monkeypatch):
    """An installed module is not run for that; a file of the recipe has been run already."""
    name = f"mine_{abs(hash(line))}_{installed}"
    effect = "raise SystemExit\n" if installed else ""
    (tmp_path / f"{name}.py").write_text(f"# A comment.\n{line}\n    return [0.0]\n\n\n{effect}")
    monkeypatch.syspath_prepend(str(tmp_path))
    path = toy(more="" if installed else f"plugins: [{name}.py]\n")
    text = path.read_text()
    old = "{use: not-among, categories: [Toronto, Montreal, Vancouver]}"
    path.write_text(text.replace(old, f"{{use: callable, function: '{name}:f'}}"))
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    row = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if "callable" in text)
    (problem,) = str(caught.value).splitlines()
    assert problem.startswith(f"{path}:{row}:")
    assert re.search(rf"'{name}:f' \(.*{name}\.py, line 2\) {re.escape(WRONG[line])}", problem)


PLUGIN = '''
from collapse_core import Entry, Reward, hookimpl


class Brevity(Reward):
    """Prefers short answers."""

    def score(self, completions):
        return [-len(completion.content) for completion in completions]


@hookimpl
def collapse_components():
    yield Entry("reward", "brevity", Brevity)
'''


def test_so_is_a_method_of_a_part(toy, tmp_path):
    (tmp_path / "brevity.py").write_text(PLUGIN)
    path = toy(more="plugins: [brevity.py]\n")
    old = "{use: not-among, categories: [Toronto, Montreal, Vancouver]}"
    path.write_text(path.read_text().replace(old, "{use: brevity}"))
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert str(caught.value).endswith(
        "the reward 'brevity' cannot be called: Brevity.score(self, completions) is to be "
        "score(self, prompt, completions, reference) (brevity.py, line 8)"
    )
