"""A stand-in for the hub: the part of its API that an upload by huggingface_hub uses, in a thread."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yaml


@dataclass
class Hub:
    """What it was sent."""

    endpoint: str = ""
    repositories: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By id: whether it is private, and the files of its commits, by path."""
    blobs: dict[str, bytes] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)


class Server(ThreadingHTTPServer):
    """The stand-in, which notes what it is sent in `hub`."""

    hub: Hub


class Handler(BaseHTTPRequestHandler):
    server: "Server"

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, value: object, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            found = b""
            while size := int(self.rfile.readline(), 16):
                found += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return found
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def note(self) -> None:
        self.server.hub.calls.append(f"{self.command} {self.path}")
        if token := self.headers.get("Authorization"):
            self.server.hub.tokens.add(token)

    def do_GET(self) -> None:
        self.note()
        name = self.path.removeprefix("/api/models/")
        if name not in self.server.hub.repositories:
            return self.answer({"error": "not found"}, 404)
        private = self.server.hub.repositories[name]["private"]
        return self.answer({"id": name, "private": private, "siblings": []})

    def do_PUT(self) -> None:
        self.note()
        content = self.body()
        oid = self.path.removeprefix("/lfs/")
        assert hashlib.sha256(content).hexdigest() == oid
        self.server.hub.blobs[oid] = content
        self.answer({})

    def do_POST(self) -> None:
        self.note()
        body = self.body()
        if self.path == "/api/repos/create":
            return self.create(json.loads(body))
        if self.path == "/api/validate-yaml":
            metadata = json.loads(body)["content"].split("---")[1]
            assert yaml.safe_load(metadata)["model-index"]
            return self.answer({"errors": [], "warnings": []})
        if "/preupload/" in self.path:
            modes = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                    "shouldIgnore": False,
                    "oid": None,
                }
                for file in json.loads(body)["files"]
            ]
            return self.answer({"files": modes})
        if self.path.endswith("/info/lfs/objects/batch"):
            wanted = json.loads(body)["objects"]
            actions = [
                one | {"actions": {"upload": {"href": f"{self.server.hub.endpoint}/lfs/{one['oid']}"}}}
                for one in wanted
            ]
            return self.answer({"transfer": "basic", "objects": actions})
        if "/commit/" in self.path:
            return self.commit(body)
        return self.answer({"error": f"no such call: {self.path}"}, 404)

    def create(self, asked: dict[str, Any]) -> None:
        name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
        private = asked.get("visibility") == "private"
        status = 409 if name in self.server.hub.repositories else 200
        self.server.hub.repositories.setdefault(name, {"private": private, "files": {}})
        self.answer({"url": f"{self.server.hub.endpoint}/{name}", "name": name}, status)

    def commit(self, body: bytes) -> None:
        name = self.path.removeprefix("/api/models/").partition("/commit/")[0]
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                self.server.hub.repositories[name]["files"][value["path"]] = base64.b64decode(
                    value["content"]
                )
            elif line["key"] == "lfsFile":
                self.server.hub.repositories[name]["files"][value["path"]] = self.server.hub.blobs[
                    value["oid"]
                ]
            else:
                assert line["key"] == "header", line
        url = f"{self.server.hub.endpoint}/{name}/commit/{'0' * 40}"
        self.answer({"success": True, "commitOid": "0" * 40, "commitUrl": url})


@contextmanager
def standing_in() -> Iterator[Hub]:
    """Serve on the loopback address while the block runs."""
    hub = Hub()
    server = Server(("127.0.0.1", 0), Handler)
    server.hub = hub
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
