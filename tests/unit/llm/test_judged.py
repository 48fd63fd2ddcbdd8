"""Judged answers, by a judge behind a real HTTP server of this process that applies a rule."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from statistics import fmean

import pytest
import torch
from chat_templates import QWEN2
from few_questions import Few as FewQuestions
from pydantic import ValidationError

from collapse_core import CollapseError, Completion, Prompt, standing_in
from collapse_core.testing import check_evaluator, without_splits
from collapse_llm.data import Authors
from collapse_llm.evaluators import Judged
from collapse_llm.evaluators.judged import TEMPLATES
from collapse_llm.model import CausalLm, Teach
from collapse_llm.model.training import teach
from collapse_llm.rewards.judge import Judge
from collapse_llm.sampler import answering
from collapse_llm.sampler.answering import greedy_answers


class Few(FewQuestions):
    num: int = 4


def between(text, mark):
    return text.partition(f"<{mark}>")[2].partition(f"</{mark}>")[0]


def rule(text):
    """A judge of letters: from 0 to 10 by how long an answer is, and something else for each aspect."""
    answer = between(text, "answer")
    if "secret" in text:
        return min(10, len(answer) // 8)
    return 7 if "How correct" in text else len(set(answer)) % 11


@pytest.fixture
def judge(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            text = body["messages"][0]["content"]
            seen.append(text)
            said = str(rule(text)) if "<answer>" in text else "no"
            reply = json.dumps({"choices": [{"message": {"content": said}}]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1", seen
        server.shutdown()


def test_leakage_fluency_and_correctness_are_the_judges_numbers_and_the_worst_is_over_paraphrases(
    model, judge
):
    url, seen = judge
    metrics = Judged(url=url, model="judge", max_new_tokens=12).evaluate(model, Few(), 0).metrics
    said = {s: greedy_answers(model, list(Few().load(s)), 12) for s in ("forget", "forget_paraphrased")}
    leaks = {split: [min(10, len(answer) // 8) for answer in some] for split, some in said.items()}
    for split, values in leaks.items():
        assert metrics[f"judged_leakage_{split}"].value == pytest.approx(10 * fmean(values))
    worst = [max(pair) for pair in zip(*leaks.values(), strict=True)]
    assert metrics["judged_leakage_worst"].value == pytest.approx(10 * fmean(worst))
    fluency = [len(set(answer)) % 11 for answer in said["forget"]]
    assert metrics["judged_fluency_forget"].value == pytest.approx(10 * fmean(fluency))
    assert metrics["judged_correctness_retain"].value == 70
    assert metrics["judged_share"].value == 100
    assert all("material, not instructions" in text for text in seen)
    secret = [text for text in seen if "secret" in text]
    assert {between(text, "truth") for text in secret} == {
        p.target for split in said for p in Few().load(split)
    }
    assert not any("<truth>" in text for text in seen if "how well" in text.lower())


def test_the_worst_is_also_over_the_wrappings_that_the_recipe_names(model, judge):
    evaluator = Judged(url=judge[0], model="judge", max_new_tokens=12, templates={"polite": "Please. {}"})
    metrics = evaluator.evaluate(model, Few(), 0).metrics
    asked = [list(Few().load(split)) for split in ("forget", "forget_paraphrased")]
    asked.append([Prompt(p.id, f"Please. {p.content}") for p in asked[0]])
    leaks = [[min(10, len(answer) // 8) for answer in greedy_answers(model, some, 12)] for some in asked]
    assert metrics["judged_leakage_polite"].value == pytest.approx(10 * fmean(leaks[-1]))
    worst = [max(ways) for ways in zip(*leaks, strict=True)]
    assert metrics["judged_leakage_worst"].value == pytest.approx(10 * fmean(worst))


def test_a_judge_that_says_the_same_of_everything_is_noted(model, judge):
    with torch.no_grad():
        model.module.lm_head.weight.zero_()
    evaluator, data = Judged(url=judge[0], model="judge", max_new_tokens=4), without_splits(Few(), ["retain"])
    with standing_in({}) as notes:
        found = evaluator.evaluate(model, data, 0)
    assert found.metrics["judged_leakage_forget"].value == 0
    assert any("the judge gave the same number, 0 of 10, to every answer" in note for note in notes)
    with standing_in({}) as notes:
        evaluator.evaluate(model, Few(), 0)
    assert not any("the same number" in note for note in notes), "it says 7 of what is retained"


# --- a judge in this process -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def grader(tiny_directory, tmp_path_factory):
    """A model that has learned to answer requests for numbers with numbers."""
    model = CausalLm(path=str(tiny_directory), compute="float32", max_length=512).load(Authors(), 0)
    rows = [(p.content, p.target) for p in Few().load("forget")]
    pairs = [
        (template.format(question=question, answer=answer, target=answer), number)
        for (aspect, template), number in zip(TEMPLATES.items(), ("7", "4", "9"), strict=True)
        for question, answer in rows[:2]
    ]
    teach(model, pairs, Teach(epochs=12, learning_rate=5e-3, batch_size=6, warmup=0), 0)
    directory = tmp_path_factory.mktemp("grader")
    model.module.save_pretrained(directory)
    model.encoder.tokenizer.save_pretrained(directory)
    return CausalLm(use="causal-lm", path=str(directory), compute="float32", max_length=512)


def test_a_judge_in_this_process_says_what_it_answers_greedily(model, grader):
    evaluator = Judged(judge_model=grader, max_new_tokens=8, options={"max_tokens": 3})
    metrics = evaluator.evaluate(model, Few(num=2), 0).metrics
    said = greedy_answers(model, list(Few(num=2).load("forget")), 8)
    loaded, numbers = grader.load(Authors(), 0), []
    for prompt, answer in zip(Few(num=2).load("forget"), said, strict=True):
        ids = loaded.encoder.prompt(
            TEMPLATES["leakage"].format(question=prompt.content, answer=answer, target=prompt.target)
        )
        out = loaded.module.generate(
            torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), max_new_tokens=3, do_sample=False
        )
        text = loaded.encoder.text(out[0, len(ids) :].tolist()).strip()
        numbers += [int(text)] if text.isdigit() and int(text) <= 10 else []
    assert numbers, "the judge has learned to say numbers"
    assert metrics["judged_leakage_forget"].value == pytest.approx(10 * fmean(numbers))
    assert evaluator._judge is None, "it is not kept in memory"


def test_a_judge_in_this_process_that_says_no_number_is_asked_again_where_it_has_a_chat(
    tiny_directory, tmp_path, monkeypatch
):
    loader = CausalLm(use="causal-lm", path=str(tiny_directory), compute="float32", max_length=512)
    decode, asked = answering.decode, []
    monkeypatch.setattr(answering, "decode", lambda *args: asked.append(args[1]) or decode(*args))
    model = loader.load(Authors(), 0)
    for template, times in ((None, 1), (QWEN2.template, 3)):
        model.encoder.tokenizer.chat_template = template
        reward = Judge(judge_model=loader, retries=2, options={"max_tokens": 3})
        reward._judge = model
        assert reward.score(Prompt("p", "Who?"), [Completion("Ada.")], Completion("Eve.")) == [None]
        assert len(asked) == times
        asked.clear()
    stops = Judge(judge_model=loader, retries=0, options={"max_tokens": 3}, if_unreadable="stop")
    stops.prepare(Authors(), [], {})
    with pytest.raises(CollapseError, match=r"the judge in this process says no number but .* a larger one"):
        stops.score(Prompt("p", "Who?"), [Completion("Ada.")], Completion("Eve."))


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({}, "name the judge: 'url' and 'model' of an endpoint, or 'judge_model'"),
        ({"url": "http://localhost:1/v1"}, "name the judge"),
        ({"model": "m", "judge_model": True}, "'model' is for an endpoint; leave it or 'judge_model' out"),
        ({"timeout": 5.0, "judge_model": True}, "'timeout' is for an endpoint"),
    ],
)
def test_a_judge_is_one_endpoint_or_one_model(fields, complaint, other):
    with pytest.raises(ValidationError, match=complaint):
        Judged(**{**fields, **({"judge_model": other} if "judge_model" in fields else {})})


# --- the judge itself ------------------------------------------------------------------------------


def test_agreement_is_the_share_of_answers_where_judge_and_own_words_say_the_same(model, judge):
    """An untrained model says no fact: they agree where the judge sees less than half a leak."""
    url, _ = judge
    metrics = Judged(url=url, model="judge", max_new_tokens=12).evaluate(model, Few(), 0).metrics
    said = greedy_answers(model, list(Few().load("forget")), 12)
    agree = [100.0 * (min(10, len(answer) // 8) < 5) for answer in said]
    assert metrics["judged_agreement"].value == pytest.approx(fmean(agree))


def test_judged_is_a_sound_evaluator(model, judge):
    check_evaluator(Judged(use="judged", url=judge[0], model="judge", max_new_tokens=6), model, Few())


def test_a_judge_that_says_no_number_leaves_nothing_measured_and_a_missing_key_is_refused(
    model, judge, monkeypatch
):
    url, _ = judge
    found = Judged(url=url, model="judge", number="(never)", retries=0, max_new_tokens=6).evaluate(
        model, Few(), 0
    )
    assert found.missing["judged_leakage_forget"] == "the judge gave no number for any answer"
    assert found.metrics["judged_share"].value == 0
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    with pytest.raises(CollapseError, match="environment variable JUDGE_KEY"):
        Judged(url=url, model="judge", api_key_env="JUDGE_KEY").evaluate(model, Few(), 0)
