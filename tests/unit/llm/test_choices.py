"""Multiple choice, held to lm-evaluation-harness itself on a model of random weights."""

import json
import logging
import math

import pytest
import torch

from collapse_core import CollapseError, standing_in
from collapse_core.evaluation.during import evaluation_row
from collapse_core.testing import check_evaluator
from collapse_llm.data import Authors, Questions
from collapse_llm.evaluators import LmEval, MultipleChoice
from collapse_llm.evaluators.asking import Asked, Form, choose
from collapse_llm.evaluators.harness import as_evaluation, only_finite, saying_cuts

QUESTIONS = [
    ("Where was Maren Tollefsby born?", ["Tromso", "Bergen, in the west of Norway", "Oslo", "Rome"], 0),
    ("Which genre does the author write?", ["essays", "crime novels", "plays for children", "verse"], 3),
    ("What did her father do?", ["He was a baker.", "A tailor", "He taught at a school in Rome.", "x"], 2),
    ("What is the capital of France?", ["Paris", "Rome", "Berlin", "the city of Madrid"], 0),
    ("How many legs has a spider?", ["six", "eight", "ten", "four or five"], 1),
]
ROWS = [{"question": q, "choices": c, "answer": a, "subject": "fine_arts"} for q, c, a in QUESTIONS]


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "choices.jsonl"
    path.write_text("\n".join(map(json.dumps, ROWS)))
    return path


def harness(path, name):
    """A task file like that of MMLU, and one like that of ARC."""
    letters = name == "letters"
    options = "".join(f"{letter}. {{{{choices[{i}]}}}}\n" for i, letter in enumerate("ABCD"))
    listed = f"{{{{question.strip()}}}}\n{options}Answer:"
    task = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(path)}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": listed if letters else "Question: {{question.strip()}}\nAnswer:",
        "doc_to_choice": ["A", "B", "C", "D"] if letters else "{{choices}}",
        "doc_to_target": "answer",
        "metric_list": [
            {"metric": metric, "aggregation": "mean", "higher_is_better": True}
            for metric in ("acc", "acc_norm")
        ],
    }
    if letters:
        about = "The following are multiple choice questions (with answers) about fine arts.\n\n"
        task["description"] = about
    (path.parent / f"{name}.yaml").write_text(json.dumps(task))


@pytest.mark.slow
def test_accuracies_by_letter_and_by_option_are_those_of_the_harness(model, rows, monkeypatch):
    """On several models of random weights, so that not all agree by chance."""
    pytest.importorskip("lm_eval")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    harness(rows, "letters")
    harness(rows, "options")
    data = Questions(forget=str(rows), general_choices=str(rows))
    theirs = LmEval(
        use="lm-eval", tasks=["letters", "options"], include_path=str(rows.parent), own_tasks_only=True
    )
    seen = set()
    for seed in range(2):
        torch.manual_seed(seed)
        for weight in model.module.parameters():
            torch.nn.init.normal_(weight, std=0.3)
        ours = MultipleChoice(batch_size=7).evaluate(model, data, 0).metrics
        found = theirs.evaluate(model, data, 0).metrics
        assert ours["choice_letter_retain"].value == 100 * found["lm_eval_letters_acc"].value
        assert ours["choice_option_retain"].value == 100 * found["lm_eval_options_acc"].value
        assert ours["choice_option_norm_retain"].value == 100 * found["lm_eval_options_acc_norm"].value
        assert found["lm_eval_letters_acc"].direction == "up"
        seen |= {ours["choice_option_retain"].value, ours["choice_option_norm_retain"].value}
    assert len(seen) > 1
    with pytest.raises(CollapseError, match="has no task 'lettres'; did you mean 'letters'"):
        theirs.model_copy(update={"tasks": ["lettres"]}).evaluate(model, data, 0)


def test_the_option_of_highest_summed_log_probability_is_chosen(model):
    """Against sums of one row at a time, without padding."""
    asked = [Asked(q, c, a) for q, c, a in QUESTIONS]
    found = choose(model, asked, ["letter", "option"], Form("", chat=False), 64)
    for place, one in enumerate(asked):
        listed = "\n".join(f"{letter}. {text}" for letter, text in zip("ABCD", one.options, strict=True))
        by_letter = [total(model, f"{one.text}\n{listed}\nAnswer:", f" {letter}") for letter in "ABCD"]
        by_option = [total(model, f"Question: {one.text}\nAnswer:", f" {text}") for text in one.options]
        by_character = [a / len(text) for a, text in zip(by_option, one.options, strict=True)]
        assert found["letter"][place] == by_letter.index(max(by_letter))
        assert found["option"][place] == by_option.index(max(by_option))
        assert found["option_norm"][place] == by_character.index(max(by_character))


def total(model, context, said):
    ids = model.encoder.tokenizer(context + said).input_ids
    start = len(model.encoder.tokenizer(context).input_ids)
    with torch.no_grad():
        logits = model.module(torch.tensor([ids])).logits[0].log_softmax(-1)
    return sum(logits[i - 1, ids[i]].item() for i in range(start, len(ids)))


def test_wrong_answers_make_a_question_one_of_multiple_choice(model):
    found = MultipleChoice(num_questions=4, by=["option"])
    check_evaluator(found, model, Authors())
    metrics = found.evaluate(model, Authors(), 0).metrics
    wrong = [len(p.extra["perturbed_answer"]) for p in Authors().load("forget_perturbed")][:4]
    assert metrics["choice_chance_forget"].value == pytest.approx(sum(100 / (1 + n) for n in wrong) / 4)
    assert "choice_letter_forget" not in metrics


@pytest.mark.parametrize(
    ("answer", "expected"), [(1, "Rome"), ("B", "Rome"), ("b", "Rome"), ("Rome", "Rome")]
)
def test_the_answer_is_the_number_the_letter_or_the_text_of_an_option(tmp_path, answer, expected):
    path = tmp_path / "one.jsonl"
    path.write_text(json.dumps({"question": "Which?", "choices": ["Oslo", "Rome"], "answer": answer}))
    data = Questions(forget=str(path), choices=str(path))
    [prompt] = data.load("forget_choices")
    assert (prompt.target, prompt.extra["answer_number"]) == (expected, 1)
    [bare] = data.load("forget_choices", targets=False)
    assert not bare.extra
    assert not bare.columns


def test_an_answer_that_is_no_option_is_refused_by_its_row(tmp_path):
    path = tmp_path / "one.jsonl"
    path.write_text(json.dumps({"question": "Which?", "choices": ["Oslo", "Rome"], "answer": 2}))
    with pytest.raises(CollapseError, match=r"one\.jsonl:1: 'answer' must be one of the 2 'choices'"):
        Questions(forget=str(path)).load("forget")


# --- what the harness does not say -----------------------------------------------------------------


HIGHER = {"higher_is_better": {}}


def test_a_number_of_the_harness_that_is_none_is_missing_and_no_number_at_all_an_error():
    found = {"results": {"mmlu": {"acc,none": math.nan, "acc_norm,none": 0.5, "alias": "mmlu"}}}
    row = evaluation_row(
        LmEval(use="lm-eval", tasks=["mmlu"]), as_evaluation(found | HIGHER), keep_text=False
    )
    assert set(row["metrics"]) == {"lm_eval_mmlu_acc_norm"}
    assert row["missing"] == {"lm_eval_mmlu_acc": "it came out as nan, which is no measurement"}
    with pytest.raises(CollapseError, match="gave no number for any of the tasks"):
        as_evaluation({"results": {"mmlu": {"alias": "mmlu"}}} | HIGHER)


def test_the_harness_chooses_by_no_logits_that_are_not_finite(model):
    ids = torch.tensor([[2, 3]])
    with only_finite(model.module):
        model.module(ids)
    with torch.no_grad():
        model.module.model.norm.weight.fill_(3e38)
    with pytest.raises(CollapseError, match="logits that are not finite"), only_finite(model.module):
        model.module(ids)
    model.module(ids)


def test_prompts_that_the_harness_cuts_are_noted():
    said = (
        "Combined length of context (9) and continuation (1) exceeds model's maximum length (8). Truncating 3"
    )
    with standing_in({}) as notes, saying_cuts():
        logging.getLogger("lm_eval.models.huggingface").warning(said)
        logging.getLogger("lm_eval.tasks").warning("something else")
    logging.getLogger("lm_eval.models.huggingface").warning(said)
    [note] = notes
    assert note.startswith("lm-evaluation-harness cut 1 prompts at their beginning")
