"""The benchmarks' data and metrics, on small files of the hub's shape; each recipe runs on a tiny model."""

import json
from pathlib import Path
from statistics import fmean

import pytest
import torch
from benchmark_files import PEOPLE, logits_after, text, write, write_rwku
from rouge_score.rouge_scorer import RougeScorer
from sklearn.metrics import roc_auc_score

from collapse_core import CollapseError, create_run, load_recipe
from collapse_core import collapse as run_loop
from collapse_core.evaluation.during import evaluation_row
from collapse_core.runtime import files
from collapse_core.testing import check_evaluator
from collapse_llm.data import Authors, Muse, Wmdp
from collapse_llm.evaluators import MultipleChoice
from collapse_llm.evaluators import Muse as MuseMetrics
from collapse_llm.evaluators.open_unlearning import OpenUnlearning
from collapse_llm.sampler.answering import greedy_answers

RECIPES = Path(__file__).resolve().parents[3] / "recipes" / "benchmarks"


@pytest.fixture(scope="session")
def muse(tmp_path_factory):
    folder = tmp_path_factory.mktemp("muse")
    for i, split in enumerate(("forget", "retain1", "holdout")):
        write(folder, "raw", split, [{"text": text(10 * i + n, 200)} for n in range(3)])
    for i, split in enumerate(("forget", "holdout")):
        write(folder, "privleak", split, [{"text": text(50 + 10 * i + n)} for n in range(8)])
    write(folder, "verbmem", "forget", [{"prompt": text(n), "gt": text(n + 1)} for n in range(4)])
    for i, split in enumerate(("forget_qa", "retain_qa", "forget_qa_icl", "retain_qa_icl")):
        pairs = PEOPLE[5 * i : 5 * i + (2 if split.endswith("icl") else 4)]
        write(folder, "knowmem", split, [{"answer": a, "question": q} for q, a in pairs])
    return folder


@pytest.fixture(scope="session")
def wmdp(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wmdp")
    rows = [
        {"question": q, "choices": [a, "no", "maybe so", "yes"], "answer": n % 4}
        for n, (q, a) in enumerate(PEOPLE[:6])
    ]
    for subject in ("bio", "cyber", "chem"):
        write(folder, f"wmdp-{subject}", "test", rows)
    write(folder, "all", "test", [row | {"subject": "abstract_algebra"} for row in rows])
    for corpus in (
        "wmdp-bio-forget-corpus",
        "bio-retain-corpus",
        "cyber-forget-corpus",
        "cyber-retain-corpus",
    ):
        write(folder, corpus, "train", [{"text": text(len(corpus) + n, 200)} for n in range(3)])
    return folder


@pytest.fixture(scope="session")
def rwku(tmp_path_factory):
    return write_rwku(tmp_path_factory.mktemp("rwku"))


# --- MUSE ------------------------------------------------------------------------------------------


def test_muse_has_passages_to_forget_and_the_benchmarks_own_prompts(muse):
    data = Muse(path=str(muse), opening=10, continuation=20)
    assert set(data.splits()) == set(data.parts())
    joined = " ".join(f"{p.content['continue']} {p.target}" for p in data.load("forget"))
    assert joined.split() == " ".join(text(n, 200) for n in range(3)).split()
    assert len(Muse(path=str(muse), num_passages=2).load("forget")) == 2
    assert {p.content["continue"] for p in data.load("retain")} == {""}
    [first, *_] = data.load("knowmem_forget")
    (q1, a1), (q2, a2), (asked, answer) = PEOPLE[10], PEOPLE[11], PEOPLE[0]
    assert first.content["continue"] == (
        f"Question: {q1}\nAnswer: {a1}\n\nQuestion: {q2}\nAnswer: {a2}\n\nQuestion: {asked}\nAnswer: "
    )
    assert first.target == answer
    assert data.load("knowmem_forget", targets=False)[0].target is None
    assert next(iter(data.provenance())).endswith(".jsonl")
    with pytest.raises(CollapseError, match="retain2"):
        data.load("retain2")


def test_muses_metrics_are_those_of_its_rules(model, muse):
    data = Muse(path=str(muse), opening=10, continuation=20)
    evaluator = MuseMetrics(use="muse-metrics", retrained_auc=0.4, verbatim_tokens=8, answer_tokens=4)
    check_evaluator(evaluator, model, data)
    metrics = evaluator.evaluate(model, data, 0).metrics
    scorer, tokenizer = RougeScorer(["rougeL"], use_stemmer=False), model.encoder.tokenizer
    verbatim = []
    prompts = list(data.load("verbmem_forget"))
    for prompt, answer in zip(prompts, greedy_answers(model, prompts, 8), strict=True):
        truth = tokenizer.decode(tokenizer(prompt.target, add_special_tokens=False).input_ids[:7])
        verbatim.append(scorer.score(truth, answer)["rougeL"].fmeasure)
    assert metrics["muse_verbmem_forget"].value == pytest.approx(100 * fmean(verbatim))
    for split in ("knowmem_forget", "knowmem_retain"):
        prompts, known = list(data.load(split)), []
        for prompt, answer in zip(prompts, greedy_answers(model, prompts, 4), strict=True):
            for stop in ("\n\n", "\nQuestion", "Question:"):
                answer = answer.split(stop)[0]
            known.append(scorer.score(prompt.target, answer.strip())["rougeL"].fmeasure)
        assert metrics[f"muse_{split}"].value == pytest.approx(100 * fmean(known))
    lowest = {"forget": [], "holdout": []}
    for split, scores in lowest.items():
        for prompt in data.load(f"privleak_{split}"):
            ids = torch.tensor([[tokenizer.eos_token_id, *tokenizer(prompt.target).input_ids]])
            with torch.no_grad():
                log_probs = (
                    model.module(ids).logits[0, :-1].log_softmax(-1).gather(-1, ids[0, 1:, None])[:, 0]
                )
            num = int(0.4 * len(log_probs))
            scores.append(log_probs.sort().values[:num].mean().item())
    labels = [0] * 8 + [1] * 8
    area = roc_auc_score(labels, lowest["forget"] + lowest["holdout"])
    assert metrics["muse_auc"].value == pytest.approx(area)
    assert metrics["muse_privleak"].value == pytest.approx(100 * (area - 0.4) / 0.4)
    assert "0.4772" in MuseMetrics().evaluate(model, data, 0).missing["muse_privleak"]


def test_what_muse_metrics_found_is_written_as_openunlearning_logs_it_and_read_again(
    model, muse, tmp_path, collapse_here
):
    data = Muse(path=str(muse), opening=10, continuation=20)
    evaluator = MuseMetrics(use="muse-metrics", retrained_auc=0.4, verbatim_tokens=8, answer_tokens=4)
    found = evaluator.evaluate(model, data, 0)
    run = tmp_path / "run"
    run.mkdir()
    files.write_json(run / "resolved.json", {"recipe": {"name": "measured"}})
    row = {"model": "after", "iteration": 1} | evaluation_row(evaluator, found, True)
    files.append_line(run / "evaluations.jsonl", row)
    done = collapse_here("export-logs", run)
    assert done.out.split() == [str(run / "logs" / f"MUSE_{kind}.json") for kind in ("EVAL", "SUMMARY")]
    log = json.loads((run / "logs" / "MUSE_EVAL.json").read_text())
    stemmed = RougeScorer(["rougeL"], use_stemmer=True)
    truths = {p.target for p in data.load("verbmem_forget")}
    entries = list(log["forget_verbmem_ROUGE"]["value_by_index"].values())
    assert {one["ground_truth"] for one in entries} == truths
    overlaps = [stemmed.score(one["ground_truth"], one["generation"])["rougeL"] for one in entries]
    assert [one["rougeL_recall"] for one in entries] == [one.recall for one in overlaps]
    assert log["forget_verbmem_ROUGE"]["agg_value"] == pytest.approx(fmean(o.fmeasure for o in overlaps))
    strengths = []
    for prompt in data.load("verbmem_forget"):
        start, ids = (model.encoder.prompt(prompt.content), model.encoder.answer(prompt.target))
        likeliest = logits_after(model, [*start, *ids])[len(start) - 1 : -1].argmax(-1).tolist()
        said, true = likeliest[:-1], ids[:-1]  # its code leaves the last token out
        k = next((k for k in range(len(true)) if said[k:] == true[k:]), len(true) - 1)
        strengths.append(1 - k / len(true))
    assert log["extraction_strength"]["agg_value"] == pytest.approx(fmean(strengths))
    assert found.metrics["muse_extraction_strength"].value == pytest.approx(fmean(strengths))
    area = log["mia_min_k"]["agg_value"]
    assert log["privleak"]["agg_value"] == pytest.approx(100 * ((1 - area) - 0.4) / 0.4)
    again = OpenUnlearning().read_logs([run / "logs" / "MUSE_EVAL.json"])
    assert {name: one.value for name, one in again.metrics.items()} == pytest.approx(
        {name: entry["agg_value"] for name, entry in log.items()}
    )


# --- WMDP ------------------------------------------------------------------------------------------


def test_wmdp_asks_openings_of_a_corpus_or_its_questions_and_measures_by_multiple_choice(model, wmdp):
    data = Wmdp(path=str(wmdp), subject="cyber", opening=10, continuation=20)
    assert {p.content["continue"][:5] for p in data.load("forget")}
    assert [p.columns["subject"] for p in data.load("retain_choices")] == ["abstract_algebra"] * 6
    metrics = MultipleChoice(by=["letter"]).evaluate(model, data, 0).metrics
    assert metrics["choice_chance_forget"].value == 25
    chem = Wmdp(path=str(wmdp), subject="chem", prompts="questions")
    assert [p.content for p in chem.load("forget")] == [q for q, _ in PEOPLE[:6]]
    assert all(p.target is None and not p.extra for p in chem.load("forget", targets=False))
    assert len(chem.load("retain")) > 10
    with pytest.raises(ValueError, match="no corpus of chemistry; write 'prompts: questions'"):
        Wmdp(subject="chem")


# --- the recipes -----------------------------------------------------------------------------------

TINY = [
    "model.path=tiny-llama", "model.compute=float32", "model.gradient_checkpointing=false",
    "model.max_length=400", "sampler.max_new_tokens=8", "iterations=1", "completions_per_prompt=2",
    "prompts_per_iteration=4", "updater.batch_size=4", "updater.micro_batch_size=4",
    "checkpoint={every: 1, keep: 1}",
]  # fmt: skip
NO_CHAT = ["model.prompt={chat: false}"]
TEXTS = ["data.tokenizer=null", "data.opening=10", "data.continuation=10", "data.num_passages=8"]


def smoke(name, folder, tmp_path, more=(), baseline=None):
    """Run a recipe for one iteration on a tiny model of random weights, on files in a directory."""
    settings = [*TINY, *NO_CHAT, f"data.path={folder}", *more]
    if baseline:
        tiny = "{use: causal-lm, path: tiny-llama, compute: float32, max_length: 400, prompt: {chat: false}}"
        settings.append(f"evaluate.baselines={{{baseline}: {tiny}}}")
    path = RECIPES / f"{name}.yaml"
    recipe = load_recipe(path, settings)
    run = create_run(recipe, path.read_text(), {}, tmp_path / "run")
    run_loop(recipe, run)
    run.close()
    rows = map(json.loads, (tmp_path / "run" / "evaluations.jsonl").read_text().splitlines())
    return {name for row in rows for name in row["metrics"]}


@pytest.mark.parametrize(("prompts", "reads"), [("corpus", True), ("questions", False)])
def test_the_overlap_of_wmdp_reads_answers_only_where_they_are_the_rest_of_a_passage(
    prompts, reads, wmdp, monkeypatch
):
    asked, load = {}, Wmdp.load

    def noting(self, split, *, targets=True):
        asked[split] = targets
        return load(self, split, targets=targets)

    monkeypatch.setattr(Wmdp, "load", noting)
    assert " to forget, " in Wmdp(subject="cyber", prompts=prompts, path=str(wmdp)).describe_overlap()
    assert asked["forget"] == reads


def test_a_run_on_wmdp_measures_what_the_benchmark_measures(wmdp, tmp_path):
    found = smoke("wmdp_cyber", wmdp, tmp_path, TEXTS)
    assert {"choice_letter_forget", "choice_letter_retain", "choice_chance_forget"} == found - {
        "choice_chance_retain"
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", ["muse_news", "muse_books", "wmdp_bio", "wmdp_chem", "rwku"])
def test_each_recipe_runs_on_small_files_of_the_hubs_shape(name, muse, wmdp, rwku, tmp_path):
    folder = {"muse": muse, "wmdp": wmdp, "rwku": rwku}[name.partition("_")[0]]
    more = [] if name in ("rwku", "wmdp_chem") else TEXTS
    found = smoke(name, folder, tmp_path, more, "retrained" if name.startswith("muse") else None)
    expected = {"muse": "muse_privleak", "wmdp": "choice_letter_retain", "rwku": "rwku_forget"}
    assert expected[name.partition("_")[0]] in found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tofu_llama_1b", "tofu_llama_3b"])
def test_the_tofu_recipes_run_on_files_like_tofus(name, tmp_path):
    folder = tmp_path / "tofu"
    folder.mkdir()
    names = {"forget": "forget10", "forget_perturbed": "forget10_perturbed", "retain": "retain90"}
    others = ("retain_perturbed", "world_facts", "real_authors")
    others += ("world_facts_perturbed", "real_authors_perturbed")
    names |= {"holdout": "holdout10"} | {split: split for split in others}
    for split, file in names.items():
        rows = [
            {"question": p.content, "answer": p.target, **p.extra, **p.columns}
            for p in Authors().load(split)[:6]
        ]
        (folder / f"{file}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    tiny = "{use: causal-lm, path: tiny-llama, compute: float32, max_length: 400}"
    others = [f"evaluate.with.{place}.retain_model={tiny}" for place in (5, 6, 7)]
    found = smoke(name, folder, tmp_path, others, "retain only")
    assert {
        "forget_quality",
        "privleak",
        "model_utility",
        "detect_forget",
        "truth_probability_forget",
    } <= found
