"""A little Hugging Face Hub of our own, for the tests that download from it or upload to it, and a machine with a home."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants

COMMIT = "0123456789" * 4  # of every repository's only state


def of_its_own(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, nobody logged in, no network; huggingface_hub has read the environment when it was imported."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", False)
    return home


@contextmanager
def serving(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Inside, the Hub's client asks a little Hub of this machine."""
    server = Hub()
    address = server.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", server.address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield server
    server.shutdown()
    server.server_close()


class Hub(ThreadingHTTPServer):
    """As much of the Hub's interface as one commit and the download of a file need.

    Tokens are "writer", who belongs to pets-lab, "reader", and nothing else.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories = {}  # name -> dict(private, gated, files)
        self.requests = []  # (method, path)
        self.down = False
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"

    def add(self, name, files, private=False, gated=False):
        self.repositories[name] = dict(private=private, gated=gated, files=dict(files))


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def reply(self, status, content=b"", headers=(), error=""):
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for key, value in {**dict(headers), "Content-Length": len(content)}.items():
            self.send_header(key, str(value))
        if error:
            self.send_header("X-Error-Code", error)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def answer(self):
        hub, body = self.server, self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/api/agent-harnesses"):  # newer clients ask of their own accord, now and then
            return self.reply(404)
        hub.requests.append((self.command, self.path))
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if hub.down:
            return self.reply(418)
        if token not in ("", "reader", "writer"):
            return self.reply(401, headers={"X-Error-Message": "Invalid credentials in Authorization header"})
        if self.path == "/api/validate-yaml":
            return self.reply(200, {"errors": [], "warnings": []})
        if self.path == "/api/repos/create":
            wanted = json.loads(body)
            name = f"{wanted['organization']}/{wanted['name']}"
            if token != "writer" or wanted["organization"] != "pets-lab":
                return self.reply(403, {"error": "You don't have the rights to create a model under this namespace"})
            if name in hub.repositories:
                return self.reply(409, {"error": "You already created this model repo", "url": f"{hub.address}/{name}"})
            hub.add(name, {}, private=wanted.get("visibility") == "private" or wanted.get("private") is True)
            return self.reply(200, {"url": f"{hub.address}/{name}"})
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(preupload|commit)/main)?", self.path):
            return self.repository(*found.groups(), body, token)
        if found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/([^/]+)", self.path):
            return self.file(*found.groups(), token)
        return self.reply(500)

    do_GET = do_HEAD = do_POST = answer

    def repository(self, name, action, body, token):
        repository = self.server.repositories.get(name)
        if repository is None:
            return self.reply(404, error="RepoNotFound")
        if action is None:
            return self.reply(200, {"id": name, "sha": COMMIT, "private": repository["private"], "siblings": []})
        if token != "writer" or not name.startswith("pets-lab/"):
            return self.reply(403, {"error": "You don't have write access"})
        if action == "preupload":
            paths = [file["path"] for file in json.loads(body)["files"]]
            files = [{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in paths]
            return self.reply(200, {"files": files})
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                repository["files"][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        return self.reply(200, {"commitUrl": f"{self.server.address}/{name}/commit/{COMMIT}", "commitOid": COMMIT})

    def file(self, name, revision, file, token):
        repository = self.server.repositories.get(name)
        if repository is None or (repository["private"] and not token):
            return self.reply(404 if token else 401, error="RepoNotFound")
        if repository["gated"] and not token:
            return self.reply(401, error="GatedRepo")
        if revision not in ("main", "v1", COMMIT):
            return self.reply(404, error="RevisionNotFound")
        content = repository["files"].get(file)
        if content is None:
            return self.reply(404, headers={"X-Repo-Commit": COMMIT}, error="EntryNotFound")
        headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
        return self.reply(200, content, headers)
