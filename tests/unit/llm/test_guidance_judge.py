"""The judge, behind a real HTTP server of this process."""

import json
import socket
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydantic import ValidationError

from collapse_core import CollapseError, Completion, Prompt
from collapse_core.testing import check_reward, score
from collapse_llm.rewards.asking import AGAIN
from collapse_llm.rewards.judge import Judge

QUESTION = Prompt("p", "Where was she born?")


class Server:
    """An OpenAI-compatible endpoint that answers as it is told, and remembers what it was asked."""

    def __init__(self):
        self.requests, self.keys, self.paths = [], [], []
        self.replies = []
        """What is answered in turn, and the last again: text, bytes, status and bytes, or a function."""
        self.lock, self.busy, self.most_busy = threading.Lock(), 0, 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                outer.handle(self)

            do_GET = do_POST  # noqa: N815

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def handle(self, call):
        body = json.loads(call.rfile.read(int(call.headers.get("Content-Length", 0))) or "null")
        with self.lock:
            self.requests.append(body)
            self.keys.append(call.headers.get("Authorization"))
            self.paths.append(call.path)
            reply = self.replies[0] if len(self.replies) == 1 else self.replies.pop(0)
            self.busy += 1
            self.most_busy = max(self.busy, self.most_busy)
        try:
            answer = reply(body) if callable(reply) else reply
        finally:
            with self.lock:  # before it is sent: whoever has it may ask the next at once
                self.busy -= 1
        with suppress(OSError):  # the client has gone
            self.send(call, answer)

    def send(self, call, reply):
        status, headers = 200, {}
        if isinstance(reply, tuple):
            status, headers, reply = reply
        if isinstance(reply, str):
            reply = json.dumps({"choices": [{"message": {"role": "assistant", "content": reply}}]}).encode()
        call.send_response(status)
        for key, value in headers.items():
            call.send_header(key, value)
        call.send_header("Content-Length", str(len(reply)))
        call.end_headers()
        call.wfile.write(reply)

    def close(self):
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    running = Server()
    yield running
    running.close()


def judge(server, **fields):
    return Judge(url=server.url, model="tiny-judge", wait=0.0, **fields)


def ask(reward, *texts):
    return list(reward.score(QUESTION, [Completion(t) for t in texts], Completion("She was born in Almaty.")))


def test_the_number_that_the_judge_says_is_the_reward(server):
    server.replies = [lambda body: "8/10" if "Lisbon" in body["messages"][0]["content"] else "Score: 2.5."]
    assert ask(judge(server), "Lisbon.", "Almaty!") == [0.8, 0.25]
    assert server.paths == ["/v1/chat/completions"] * 2
    assert server.keys == [None, None]
    for body in server.requests:
        assert body["model"] == "tiny-judge"
        assert (body["temperature"], body["max_tokens"], body["seed"]) == (0, 256, 0)
        [message] = body["messages"]
        assert message["role"] == "user"
        assert "Where was she born?" in message["content"]
        assert "She was born in Almaty." in message["content"]


def test_it_never_sees_a_true_answer_and_keeps_the_promises_of_a_reward(server):
    server.replies = [lambda body: str(len(body["messages"][0]["content"]) % 11)]
    check_reward(judge(server), ["One.", "Another one", ""])
    assert not any("secret" in json.dumps(body) for body in server.requests)


def test_one_completion_is_asked_for_once(server):
    server.replies = ["4"]
    reward = judge(server)
    assert ask(reward, "a", "b", "a") == [0.4] * 3
    assert ask(reward, "b") == [0.4]
    assert len(server.requests) == 2


def test_a_completion_that_was_dropped_costs_no_call(server):
    server.replies = ["4"]
    completions = [Completion("Al", 0, finished=False), Completion("Lisbon.", 1)]
    assert judge(server).score(QUESTION, completions, None) == [None, 0.4]
    assert len(server.requests) == 1


def test_several_are_asked_for_at_once_but_no_more_than_told(server):
    def slowly(body):
        time.sleep(0.1)
        return body["messages"][0]["content"][-1]

    server.replies = [slowly]
    reward = judge(server, at_once=3, template="Is this good? {completion}")
    assert ask(reward, *"0123456789") == [n / 10 for n in range(10)]
    assert server.most_busy == 3


def test_an_answer_without_a_number_is_asked_for_again_in_the_same_conversation(server):
    server.replies = ["Well, it hides a lot.", "I said it: 7"]
    assert ask(judge(server), "Lisbon.") == [0.7]
    first, second = server.requests
    assert second["messages"] == [
        *first["messages"],
        {"role": "assistant", "content": "Well, it hides a lot."},
        {"role": "user", "content": AGAIN},
    ]


@pytest.mark.parametrize(
    "bad",
    ["none", "", "11", "-1", "8 of course", b"not json", b"{}", b'{"choices": []}',
     b'{"choices": [{"message": {"content": null}}]}', b"[1]", b"\xff\xfe"],
)  # fmt: skip
def test_a_judge_that_says_no_number_is_abstained_from_or_stops_the_run(server, bad):
    server.replies = [bad]
    assert ask(judge(server, retries=2), "Lisbon.") == [None]
    assert len(server.requests) == 3
    with pytest.raises(
        CollapseError, match=r"'tiny-judge' at .* says no number but '.*if_unreadable: abstain'"
    ):
        ask(judge(server, retries=0, if_unreadable="stop"), "Lisbon.")


def test_what_was_abstained_from_is_asked_for_again_later(server):
    server.replies = ["none", "9"]
    reward = judge(server, retries=0)
    assert [ask(reward, "Lisbon."), ask(reward, "Lisbon.")] == [[None], [0.9]]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_in_trouble_is_tried_again(server, status):
    server.replies = [(status, {}, b"busy"), (status, {"Retry-After": "soon"}, b"busy"), "6"]
    assert ask(judge(server), "Lisbon.") == [0.6]
    assert len(server.requests) == 3


def test_it_waits_longer_each_time_and_as_long_as_it_is_told(server):
    server.replies = [(503, {}, b""), (429, {"Retry-After": "0.5"}, b""), "6"]
    began = time.monotonic()
    reward = Judge(url=server.url, model="tiny-judge", wait=0.1)
    assert ask(reward, "Lisbon.") == [0.6]
    assert 0.6 <= time.monotonic() - began < 5


def test_a_server_that_stays_in_trouble_stops_the_run_or_is_done_without(server):
    server.replies = [(500, {}, b"out of memory")]
    with pytest.raises(CollapseError, match=r"does not answer \(HTTP 500 .*: out of memory\); start it"):
        ask(judge(server, retries=1), "Lisbon.")
    assert len(server.requests) == 2
    assert ask(judge(server, retries=0, if_unreachable="abstain"), "Lisbon.", "Oslo") == [None, None]


def test_a_request_that_is_refused_is_not_repeated(server):
    server.replies = [(401, {}, b"wrong key")]
    with pytest.raises(CollapseError, match=r"HTTP 401 .*: wrong key"):
        ask(judge(server, retries=5), "Lisbon.")
    assert len(server.requests) == 1


def test_a_silent_server_is_given_up(server):
    def hang(body):
        time.sleep(1.0)
        return "5"

    server.replies = [hang]
    began = time.monotonic()
    with pytest.raises(CollapseError, match=r"does not answer \(ReadTimeout: timed out"):
        ask(judge(server, timeout=0.1, retries=1), "Lisbon.")
    assert time.monotonic() - began < 0.9
    assert len(server.requests) == 2


def test_a_server_that_drips_is_given_up(server, monkeypatch):
    def drip(call, _):
        call.send_response(200)
        call.send_header("Content-Length", "1000")
        call.end_headers()
        for _ in range(1000):
            call.wfile.write(b" ")
            call.wfile.flush()
            time.sleep(0.05)

    monkeypatch.setattr(server, "send", drip)
    server.replies = ["7"]
    began = time.monotonic()
    with pytest.raises(CollapseError, match="was not whole after"):
        ask(judge(server, timeout=0.3, retries=0), "London.")
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("answer", ["7" + " " * 4000 + "x", "1" * 4000 + "x", "1 " * 2000 + "x"])
def test_no_answer_takes_long_to_read(answer):
    reward = Judge(url="http://localhost/v1", model="m")
    began = time.monotonic()
    assert reward._read(answer, (0.0, 10.0)) is None
    assert time.monotonic() - began < 5
    assert reward._read("My score: 7 / 10.", (0.0, 10.0)) == 0.7


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("http://user:KEY@host/v1", "holds a user or a key"),
        ("http://[", "is no URL"),
        ("http://host:x/v1", "is no URL"),
        ("http://:8000/v1", "names no host"),
    ],
)
def test_a_url_that_holds_a_key_or_is_none_is_refused_with_the_recipe(url, complaint):
    with pytest.raises(ValidationError, match=complaint):
        Judge(url=url, model="m")


def test_a_server_that_hangs_up_is_given_up(server):
    class Hasty(BaseHTTPRequestHandler):
        def do_POST(self):
            self.connection.shutdown(socket.SHUT_RDWR)

        def log_message(self, *_):
            pass

    server.http.RequestHandlerClass = Hasty
    with pytest.raises(CollapseError, match=r"does not answer \((RemoteProtocolError|ReadError): "):
        ask(judge(server, retries=1), "Lisbon.")


def test_nobody_there_is_an_error_that_says_where():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        reward = Judge(url=url, model="m", wait=0.0)
        with pytest.raises(
            CollapseError, match=f"judge 'm' at {url} does not answer .*ConnectError: .*refused"
        ):
            ask(reward, "Lisbon.")


def test_the_key_comes_from_the_environment_and_goes_nowhere_else(server, monkeypatch):
    server.replies = ["3"]
    reward = judge(server, api_key_env="JUDGE_KEY")
    with pytest.raises(CollapseError, match="environment variable JUDGE_KEY, which is not set"):
        reward.prepare(None, [], {})
    monkeypatch.setenv("JUDGE_KEY", "sesame")
    reward.prepare(None, [], {})
    assert ask(reward, "Lisbon.") == [0.3]
    assert server.keys == ["Bearer sesame"]
    assert "sesame" not in reward.model_dump_json()


@pytest.mark.parametrize("status", [302, 307])
def test_a_redirection_is_not_followed_for_the_key_is_not_for_others(server, monkeypatch, status):
    monkeypatch.setenv("JUDGE_KEY", "sesame")
    elsewhere = Server()
    try:
        elsewhere.replies = ["9"]
        server.replies = [(status, {"Location": f"{elsewhere.url}/chat/completions"}, b"")]
        with pytest.raises(CollapseError, match=f"HTTP {status}"):
            ask(judge(server, api_key_env="JUDGE_KEY"), "Oslo.")
        assert elsewhere.keys == []
    finally:
        elsewhere.close()


def test_what_is_asked_and_how_the_number_is_read_are_the_recipes(server):
    server.replies = ["<verdict>-1</verdict> because of 12 reasons", "<verdict>3</verdict>"]
    reward = judge(
        server,
        template='{{"text": "{completion}"}}',
        number=r"<verdict>(-?\d+)",
        lowest=-1,
        highest=3,
        options={"max_tokens": 7},
        at_once=1,
    )
    assert ask(reward, "{question}", "b") == [0.0, 1.0]
    first, second = server.requests
    assert first["messages"][0]["content"] == '{"text": "{question}"}'
    assert set(second) == {"model", "messages", "max_tokens"}


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"template": "{question}?"}, r"\{completion\} is missing"),
        ({"template": "{completion} {target}"}, r"\{target\} is not known; write \{question\}"),
        ({"template": "{completion} {"}, "write a brace that is meant as one twice"),
        ({"number": "(a"}, "is no regular expression"),
        ({"number": "a"}, "must have one group, for the number, and has 0"),
        ({"lowest": 10}, "'lowest' must be below 'highest'"),
        ({"url": "file:///etc/passwd"}, "pattern"),
    ],
)
def test_a_judge_that_cannot_judge_is_found_out_before_the_run(fields, complaint):
    with pytest.raises(ValidationError, match=complaint):
        Judge(**{"url": "http://localhost:1/v1", "model": "m", **fields})


def test_without_completions_nobody_is_asked(server):
    assert score(judge(server), []) == []
    assert server.requests == []
