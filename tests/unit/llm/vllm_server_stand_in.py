"""A stand-in for a vLLM server: the paths and keys of vLLM 0.33.0's documented HTTP interface and no others.

It answers with the real small model and the adapters that it is told to read.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from collapse_llm.model.decoding.choosing import Greedy, Nucleus
from collapse_llm.model.decoding.engine import decode
from collapse_llm.model.decoding.rows import Row

NEEDED = {"model", "prompt", "max_tokens", "temperature", "stop_token_ids", "return_token_ids"}
ALLOWED = NEEDED | {"top_p", "top_k", "min_p", "seed"}


class VllmServer:
    """A server of one model; what it was asked is in `requests` and `adapters_read`."""

    def __init__(self, directory, max_model_len=2048, key=None):
        self.directory, self.max_model_len, self.key = str(directory), max_model_len, key
        self.requests, self.keys, self.adapters_read, self.adapters = [], [], {}, {}
        self.gives_tokens, self.updating = True, True
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.reply(self, None)

            def do_POST(self):
                outer.reply(self, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()

    def reply(self, call, body):
        with self.lock:
            self.requests.append((call.path, body))
            self.keys.append(call.headers.get("Authorization"))
            status, said = self.answer(call.path, body, call.headers.get("Authorization"))
        as_json = isinstance(said, dict)
        text = (json.dumps(said) if as_json else said).encode()
        call.send_response(status)
        call.send_header("Content-Type", "application/json" if as_json else "text/plain")
        call.send_header("Content-Length", str(len(text)))
        call.end_headers()
        call.wfile.write(text)

    def answer(self, path, body, key):
        if self.key and key != f"Bearer {self.key}":
            return 401, {"error": "Unauthorized"}
        if path == "/v1/models":
            base = {"id": "base", "root": self.directory, "parent": None, "max_model_len": self.max_model_len}
            read = [{"id": name, "root": "adapter", "parent": "base"} for name in self.adapters]
            return 200, {"object": "list", "data": [base, *read]}
        if path == "/v1/load_lora_adapter" and self.updating:
            return self.load(**body)
        if path == "/v1/unload_lora_adapter" and self.updating:
            del self.adapters[body["lora_name"]]
            return 200, f"Success: LoRA adapter '{body['lora_name']}' removed successfully."
        if path == "/v1/completions":
            return 200, self.complete(body)
        return 404, {"detail": "Not Found"}

    def load(self, lora_name, lora_path):
        if lora_name in self.adapters:
            return 400, {"error": f"The lora adapter '{lora_name}' has already been loaded."}
        self.adapters_read[lora_name] = load_file(Path(lora_path) / "adapter_model.safetensors")
        base = AutoModelForCausalLM.from_pretrained(self.directory, dtype=torch.float32)
        self.adapters[lora_name] = PeftModel.from_pretrained(base, lora_path).eval()
        return 200, f"Success: LoRA adapter '{lora_name}' added successfully."

    def complete(self, body):
        assert set(body) >= NEEDED
        assert set(body) <= ALLOWED, set(body) - ALLOWED
        assert body["return_token_ids"] is True
        assert all(isinstance(token, int) for token in body["prompt"])
        row = Row(body["prompt"], body.get("seed") or 0, body["max_tokens"])
        warm = body["temperature"]
        choice = Nucleus(warm or 1, body.get("top_p", 1), body.get("top_k") or None, body.get("min_p", 0))
        with torch.inference_mode():
            ends = frozenset(body["stop_token_ids"])
            decode(self.adapters[body["model"]], [[row]], choice if warm else Greedy(), ends, 8)
        ended = len(row.answer) < body["max_tokens"]
        tokens = [*row.answer, *body["stop_token_ids"][-1:]] if ended else [*row.answer]
        choice = {"index": 0, "text": "", "finish_reason": "stop" if ended else "length"}
        return {"choices": [choice | ({"token_ids": tokens} if self.gives_tokens else {})]}
