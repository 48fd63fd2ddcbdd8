"""Judged answers, by a judge behind a real HTTP server of this process that applies a rule."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from statistics import fmean

import pytest

from collapse_core import CollapseError, Dataset, PromptSet
from collapse_core.testing import check_evaluator
from collapse_llm.data import Authors
from collapse_llm.evaluators import Judged
from collapse_llm.sampler.answering import greedy_answers


class Few(Dataset):
    """The first questions of each split of the authors."""

    def load(self, split: str, *, targets: bool = True) -> PromptSet:
        return PromptSet(Authors().load(split, targets=targets).prompts[:4])


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
