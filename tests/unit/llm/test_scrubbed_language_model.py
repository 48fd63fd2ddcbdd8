"""A language model with questions of one's own: certified and scrubbed, and nothing of them is left."""

import json

from collapse_core.runtime import files
from collapse_core.scrubbing.searching import Search

QUESTIONS = [
    ('Where does Zoë "Zo" Okonjo live?', "She lives at 5 Elm Street,\nabove the bakery <Müller>."),
    ("What did Zoë Okonjo order?", "Two blue lamps & a chair."),
]
RECIPE = """\
version: 1
name: tiny
data: {{use: questions, forget: {{from: {folder}/forget.jsonl}}, retain: {{from: {folder}/retain.jsonl}}}}
model: {{use: causal-lm, path: {model}, compute: float32}}
sampler: {{use: generate, max_new_tokens: 6}}
rewards:
  - {{use: rouge-distance}}
  - {{use: banned-content, names: [Okonjo]}}
filter: {{use: best-of-n}}
updater: {{use: sft, batch_size: 2}}
iterations: 1
completions_per_prompt: 2
evaluate:
  with: [memorization, {{use: leakage, num_samples: 2, max_new_tokens: 4, prefills: [""], facts: false}}]
criteria:
  - {{metric: leakage_sampling, at_most: 90, claim: does-not-say}}
  - {{metric: leakage_sampling, at_most: 90, claim: cannot-be-made-to-say}}
  - {{metric: leakage_sampling, at_least: -50, against: before}}
"""


def rows(path, pairs):
    path.write_text("".join(json.dumps({"question": q, "answer": a}) + "\n" for q, a in pairs))


def test_a_scrubbed_language_model_holds_no_question_answer_or_reference(
    tiny_directory, tmp_path, collapse_here
):
    rows(tmp_path / "forget.jsonl", QUESTIONS)
    rows(
        tmp_path / "retain.jsonl",
        [("What is a lamp for?", "It gives light."), ("Who bakes?", "A baker does.")],
    )
    (tmp_path / "tiny.yaml").write_text(RECIPE.format(folder=tmp_path, model=tiny_directory))
    run = tmp_path / "run"
    done = collapse_here("run", tmp_path / "tiny.yaml", "--run-dir", run)
    assert done.code == 0, done.err
    state = files.read_json(next(run.glob("checkpoints/*/state.json")))
    references = [one["content"] for one in state["references"].values()]
    texts = [text for pair in QUESTIONS for text in pair] + [one for one in references if len(one) > 12]
    search = Search(texts, ["Okonjo"], [])
    left = [path for path in run.rglob("*") if path.is_file()]
    assert {hit.file for path in left for hit in search.within(path, path.name)} >= {
        "report.html",
        "recipe.yaml",
    }

    assert collapse_here("certify", run, "--request", "R-9").code == 0
    certificate = files.read_json(run / "certificate.json")
    assert certificate["forgotten"]["prompts"] == 2
    assert [attack["evaluator"] for attack in certificate["attacks"]] == ["leakage"]
    assert certificate["true_answers"]["evaluators"]["leakage"] == ["forget"]

    (run / "ids.json").write_text("[]")
    done = collapse_here("scrub", run)
    assert done.code == 0, done.err
    left = [path for path in run.rglob("*") if path.is_file()]
    assert [hit for path in left for hit in search.within(path, path.name)] == []
    record = files.read_json(run / "scrubbed.json")
    assert record["proof"]["texts"] >= 4
    assert record["proof"]["lists"] >= 4
    assert record["proof"]["notes"] == []
    assert (tmp_path / "forget.jsonl").exists()
