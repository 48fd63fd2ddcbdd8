"""What is measured where a data set lacks some of the splits, and what is said of the rest."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from collapse_core import CollapseError, Dataset, PromptSet, RecipeError, load_recipe, standing_in
from collapse_core.testing import check_dataset, without_splits
from collapse_llm.data import Authors, Tofu
from collapse_llm.evaluators import (
    FactWords,
    Memorization,
    ModelUtility,
    Responses,
    TokenShift,
    UnlearnQuality,
    Utility,
)
from collapse_llm.evaluators.attacks import Leakage
from collapse_llm.model import CausalLm


class Few(Dataset):
    """The first questions of each split of the authors, of some none; companions where the name says so."""

    empty: tuple[str, ...] = ()
    """Splits without any question."""

    def load(self, split: str, *, targets: bool = True) -> PromptSet:
        prompts = Authors().load(split, targets=targets).prompts[:3]
        if not split.endswith("_perturbed"):
            prompts = tuple(replace(prompt, extra={}) for prompt in prompts)
        return PromptSet(() if split in self.empty else prompts)


class Known(Few):
    """The same, and it says which splits it has."""

    def splits(self):
        return Authors.SPLITS


@pytest.fixture
def other(tiny_directory) -> CausalLm:
    return CausalLm(use="causal-lm", path=str(tiny_directory), compute="float32")


MU = [f"mu_{part}_world_facts" for part in ("probability", "rouge", "truth_ratio")]
PARTIAL = {
    UnlearnQuality: ("forget_paraphrased", ["unlearn_quality", "rouge_forget_paraphrased"]),
    Utility: ("world_facts", ["utility", "rouge_world_facts"]),
    ModelUtility: ("world_facts_perturbed", ["model_utility", *MU]),
    Leakage: (
        "forget_perturbed",
        [f"{m}_{a}" for a in ("sampling", "prefill") for m in ("leak_at_1", "leak_bound")],
    ),
}
FIELDS = {Memorization: {}, Leakage: {"max_new_tokens": 4, "num_samples": 2}}


@pytest.mark.parametrize("kind", PARTIAL, ids=lambda kind: kind.__name__)
def test_without_an_optional_split_the_rest_is_measured_and_what_is_missing_listed(model, kind):
    evaluator = kind(**FIELDS.get(kind, {"max_new_tokens": 4}))
    split, missing = PARTIAL[kind]
    full = evaluator.evaluate(model, Few(), 0)
    for data, why in (
        (without_splits(Few(), [split]), f"the data set has no split '{split}'"),
        (without_splits(Known(), [split]), f"the data set has no split '{split}'"),
        (Few(empty=(split,)), f"the split '{split}' of the data set is empty"),
        (Known(empty=(split,)), f"the split '{split}' of the data set is empty"),
    ):
        found = evaluator.evaluate(model, data, 0)
        assert sorted(found.missing) == sorted(missing)
        assert all(reason.startswith(why) for reason in found.missing.values())
        assert found.metrics == {k: v for k, v in full.metrics.items() if k not in missing}
    assert not full.missing


def test_without_companions_the_plain_questions_are_measured_as_far_as_they_go(model):
    full, less = Few(), without_splits(Few(), ["forget_perturbed", "retain_perturbed"])
    with standing_in({}) as notes:
        words = FactWords(max_new_tokens=4).evaluate(model, less, 0)
    assert set(words.metrics) == set(FactWords(max_new_tokens=4).evaluate(model, full, 0).metrics)
    [said] = {note for note in notes if "all words of its answer" in note}
    assert said.endswith("since rows have no wrong answers ('perturbed_answer')")
    held, less_held = (Memorization().evaluate(model, data, 0) for data in (full, less))
    ratios = ("ratio", "probability")
    assert set(less_held.missing) == {f"truth_{r}_{side}" for r in ratios for side in ("forget", "retain")}
    assert less_held.metrics == {k: v for k, v in held.metrics.items() if k not in less_held.missing}


@pytest.mark.parametrize("kind", [FactWords, Memorization])
def test_without_anything_to_retain_the_control_is_missing(model, kind):
    data = without_splits(Few(), ["retain", "retain_perturbed"])
    found = kind(**FIELDS.get(kind, {"max_new_tokens": 4})).evaluate(model, data, 0)
    assert set(found.missing) == {name.replace("_forget", "_retain") for name in found.metrics}
    assert set(found.missing.values()) == {"the data set has no split 'retain'"}


def test_leaks_without_the_facts_words_are_measured_where_that_is_asked(model):
    data = without_splits(Few(), ["forget_perturbed"])
    found = Leakage(num_samples=2, max_new_tokens=4, facts=False).evaluate(model, data, 0)
    assert "leak_at_1_sampling" in found.metrics
    assert not found.missing


def test_token_shift_reads_the_unrelated_text_that_there_is(model, other):
    evaluator = TokenShift(base_model=other, num_chunks=3)
    found = evaluator.evaluate(model, without_splits(Few(), ["world_facts"]), 0)
    assert found.metrics["token_shift_mean"].value == pytest.approx(0, abs=1e-6)
    assert not found.missing


def test_token_shift_without_any_unrelated_text_says_how_to_give_it_one(model, other, tmp_path):
    data = without_splits(Few(), ["world_facts", "real_authors"])
    found = TokenShift(base_model=other).evaluate(model, data, 0)
    assert not found.metrics
    assert set(found.missing) == {f"token_shift_{m}" for m in ("mean", "spread", "lost", "places")}
    assert all("give it a text with 'path" in reason for reason in found.missing.values())
    (tmp_path / "text").write_text("She was born in the city of Tromso, and wrote novels.")
    with_text = TokenShift(base_model=other, path=str(tmp_path / "text"))
    assert with_text.evaluate(model, data, 0).metrics


def test_answers_are_sorted_as_far_as_it_goes_without_real_ones(model, other):
    evaluator = Responses(judge_model=other, max_new_tokens=4)
    found = evaluator.evaluate(model, without_splits(Few(), ["retain", "retain_perturbed", "holdout"]), 0)
    assert set(found.metrics) == {"answers_true", "answers_refusal", "answers_empty"}
    assert set(found.missing) == {"answers_gibberish", "answers_hallucination"}
    assert {example.get("kind") for example in found.examples} <= {"true", "refusal", "empty", None}
    one = evaluator.evaluate(model, without_splits(Few(), ["holdout"]), 0)
    assert "answers_gibberish" in one.metrics
    assert not one.missing


def test_an_empty_split_that_is_needed_is_an_error(model):
    with pytest.raises(CollapseError, match="'utility' needs the split 'retain', which is empty"):
        Utility(use="utility").evaluate(model, Few(empty=("retain",)), 0)


def test_a_broken_file_is_no_missing_split(model, tmp_path):
    (tmp_path / "forget10.jsonl").write_text('{"question": "Who?", "answer": "I."}\n')
    (tmp_path / "forget10_perturbed.jsonl").write_text("{\n")
    with pytest.raises(CollapseError, match=r"forget10_perturbed\.jsonl:1: not JSON"):
        UnlearnQuality(max_new_tokens=4).evaluate(model, Tofu(path=str(tmp_path)), 0)


# --- which splits there are ------------------------------------------------------------------------


def write(directory: Path, **rows: object) -> Tofu:
    for name, row in rows.items():
        (directory / f"{name}.jsonl").write_text(json.dumps(row) + "\n" if row else "")
    return Tofu(use="tofu", path=str(directory))


ROW = {"question": "Who?", "answer": "I.", "topic": "people"}


def test_a_directory_has_the_splits_whose_files_are_there_and_not_empty(tmp_path):
    data = write(tmp_path, forget10=ROW, retain90=ROW, world_facts=ROW, holdout10=None)
    assert data.splits() == ["forget", "retain", "world_facts"]
    assert Tofu().splits() == [split for split in Tofu.SPLITS if split not in Tofu.ENTAILED], (
        "the hub has none"
    )
    assert Tofu(path=str(tmp_path / "nowhere")).splits() is None
    check_dataset(data)


def test_the_authors_have_all_splits_and_keep_their_promises():
    assert Authors().splits() == list(Authors.SPLITS)
    check_dataset(Authors())


def test_a_column_stays_unless_its_name_says_that_it_holds_answers(tmp_path):
    row = ROW | {"option1": "I.", "wrong_answers": ["You."], "paraphrased_question": "Which one?"}
    data = write(tmp_path, forget10=row)
    others = {"topic": "people", "paraphrased_question": "Which one?"}
    [prompt], [shown] = data.load("forget"), data.load("forget", targets=False)
    assert prompt.columns == shown.columns == others
    assert prompt.extra == {"option1": "I.", "wrong_answers": ["You."]}
    assert (shown.target, shown.extra) == (None, {})


def test_a_recipe_is_refused_that_measures_on_a_split_that_is_not_there(tmp_path):
    write(tmp_path, forget10=ROW, retain90=ROW)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"""\
version: 1
name: own
data: {{use: tofu, path: {tmp_path}}}
model: {{use: causal-lm, path: tiny-llama}}
sampler: {{use: generate}}
rewards: [{{use: rouge-distance}}]
filter: {{use: best-of-n}}
updater: {{use: sft}}
iterations: 1
evaluate: {{with: [unlearn-quality, utility, likelihood]}}
""")
    assert [one.use for one in load_recipe(recipe).evaluate.with_] == [
        "unlearn-quality",
        "utility",
        "likelihood",
    ]
    with pytest.raises(
        RecipeError, match="'membership' needs the split 'holdout', which the data set 'tofu'"
    ):
        load_recipe(recipe, ["evaluate.with=[membership]"])
