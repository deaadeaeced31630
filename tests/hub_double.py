"""A small stand-in for the Hugging Face Hub: repositories in memory, behind the routes that `huggingface_hub` calls.

Every file of 10 bytes or more that ends in .parquet, .flac, .json or .whl is "large": it travels by the LFS protocol. Cards of
Spaces have to keep the Hub's rules. Files named in `cut_once` are cut in the middle of their first download; `refusals` answer
the next commits, None lets one pass. Run as a script, it prints its address and serves until it is ended.
"""

import argparse
import base64
import hashlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import uvicorn
import yaml
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

KINDS = {"models": "model", "datasets": "dataset", "spaces": "space"}
LARGE = (".parquet", ".flac", ".json", ".whl")
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
SCOPES = {"email", "read-repos", "write-repos", "manage-repos", "inference-api", "read-billing", "read-mcp", "jobs", "webhooks"}
# https://huggingface.co/docs/hub/spaces-config-reference
SPACE_RULES: dict[str, Callable[[Any], bool]] = {
    "title": lambda value: isinstance(value, str),
    "emoji": lambda value: isinstance(value, str) and 1 <= len(value) <= 4 and not value.isascii(),
    "colorFrom": COLOURS.__contains__,
    "colorTo": COLOURS.__contains__,
    "sdk": {"gradio", "docker", "static"}.__contains__,
    "sdk_version": lambda value: bool(re.fullmatch(r"\d+(\.\d+){1,2}", str(value))),
    "app_port": lambda value: type(value) is int and 0 < value < 65536,
    "pinned": lambda value: isinstance(value, bool),
    "short_description": lambda value: isinstance(value, str) and len(value) <= 60,
    "tags": lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value),
    "datasets": lambda value: isinstance(value, list) and all(re.fullmatch(r"[\w.-]+/[\w.-]+", str(one)) for one in value),
    "suggested_storage": {"small", "medium", "large"}.__contains__,
    "hf_oauth": lambda value: isinstance(value, bool),
    "hf_oauth_expiration_minutes": lambda value: type(value) is int and 0 < value <= 43_200,
    "hf_oauth_scopes": lambda value: isinstance(value, list) and set(value) <= SCOPES,
}
NOW = "2026-01-01T00:00:00.000Z"


@dataclass
class Commit:
    sha: str
    title: str
    files: dict[str, bytes]


@dataclass
class Refusal:
    """What a commit is answered instead; `is_done`: it is made all the same, only the answer is lost."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    is_done: bool = False


@dataclass
class Repository:
    private: bool = False
    is_gated: bool = False
    commits: list[Commit] = field(default_factory=list)

    def at(self, revision: str | None) -> Commit | None:
        if revision in {None, "main"}:
            return self.commits[-1]
        return next((commit for commit in self.commits if commit.sha == revision), None)

    def add(self, title: str, files: dict[str, bytes]) -> Commit:
        sha = hashlib.sha1(f"{title}{len(self.commits)}{sorted(files)}".encode()).hexdigest()
        self.commits.append(Commit(sha, title, files))
        return self.commits[-1]


class HubDouble:
    """The Hub's state; `url` is where it answers once started."""

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.cut_once: set[str] = set()
        self.downloads: list[str] = []
        self.refusals: list[Refusal | None] = []
        self.url = ""
        self._server: uvicorn.Server | None = None

    def create(self, repo_id: str, files: dict[str, bytes], kind: str = "dataset", is_gated: bool = False) -> Repository:
        repository = self.repositories[kind, repo_id] = Repository(is_gated=is_gated)
        repository.add("initial commit", {".gitattributes": b"", **files})
        return repository

    def start(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._server = uvicorn.Server(uvicorn.Config(make_app(self), host="127.0.0.1", port=port, log_level="warning"))
        threading.Thread(target=self._server.run, daemon=True).start()
        while not self._server.started:
            time.sleep(0.01)

    def stop(self) -> None:
        if self._server is not None:
            self._server.should_exit = True


def refusal(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status, headers={"X-Error-Code": code, "X-Error-Message": message})


def blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def is_large(path: str, content: bytes) -> bool:
    return path.endswith(LARGE) and len(content) >= 10


def faults_of_card(text: str, kind: str) -> list[str]:
    """Returns what the Hub would say of a README's header; of datasets and models only that it is one."""
    header = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    try:
        about = yaml.safe_load(header[1]) if header else {}
    except yaml.YAMLError as error:
        return [f"no YAML: {error}"]
    if not isinstance(about, dict):
        return ["the header is no mapping"]
    if kind != "space":
        return []
    wrong = [f"{name!r} is needed" for name in ("title", "emoji", "colorFrom", "colorTo", "sdk") if not about.get(name)]
    for name, value in about.items():
        rule = SPACE_RULES.get(name)
        if rule is not None and not rule(value):
            wrong.append(f"{name!r} cannot be {value!r}")
    if about.get("sdk") == "gradio" and not about.get("sdk_version"):
        wrong.append("'sdk_version' is needed")
    return wrong


def entry(path: str, content: bytes) -> dict:
    found = {"type": "file", "path": path, "size": len(content), "oid": blob_id(content)}
    if is_large(path, content):
        found["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return found


def tree(files: dict[str, bytes], folder: str, is_recursive: bool) -> list[dict]:
    prefix = f"{folder.strip('/')}/" if folder.strip("/") else ""
    found: dict[str, dict] = {}
    for path, content in sorted(files.items()):
        if not path.startswith(prefix):
            continue
        *folders, _ = path.removeprefix(prefix).split("/")
        for depth in range(1, len(folders) + 1 if is_recursive else min(len(folders), 1) + 1):
            name = prefix + "/".join(folders[:depth])
            found[name] = {"type": "directory", "path": name, "size": 0, "oid": hashlib.sha1(name.encode()).hexdigest()}
        if is_recursive or not folders:
            found[path] = entry(path, content)
    return list(found.values())


def make_app(hub: HubDouble) -> FastAPI:  # one route after the other
    app = FastAPI()
    lock = threading.Lock()

    def find(kind: str, repo_id: str) -> Repository | None:
        return hub.repositories.get((KINDS.get(kind, kind), repo_id))

    def missing() -> JSONResponse:
        return refusal(404, "RepoNotFound", "Repository not found")

    @app.get("/api/whoami-v2")
    def whoami(request: Request) -> Response:
        if not request.headers.get("authorization"):
            return refusal(401, "Unauthorized", "Invalid credentials")
        token = {"displayName": "test", "role": "write"}
        return JSONResponse(
            {"type": "user", "name": "tester", "orgs": [], "auth": {"type": "access_token", "accessToken": token}}
        )

    @app.post("/api/repos/create")
    async def create(request: Request) -> Response:
        asked = await request.json()
        kind, repo_id = asked.get("type") or "model", f"{asked.get('organization') or 'tester'}/{asked['name']}"
        url = f"{hub.url}/{'' if kind == 'model' else kind + 's/'}{repo_id}"
        if (kind, repo_id) in hub.repositories:
            return JSONResponse({"error": "You already created this repo", "url": url}, 409)
        hub.create(repo_id, {}, kind).private = bool(asked.get("private") or asked.get("visibility") == "private")
        return JSONResponse({"url": url, "name": repo_id, "id": repo_id})

    @app.post("/api/validate-yaml")
    async def validate_yaml(request: Request) -> Response:
        asked = await request.json()
        wrong = [{"message": one} for one in faults_of_card(asked["content"], asked["repoType"])]
        return JSONResponse({"errors": wrong, "warnings": []}, 400 if wrong else 200)

    @app.post("/api/{kind}/{owner}/{name}/preupload/{revision}")
    async def preupload(kind: str, owner: str, name: str, request: Request) -> Response:
        files = (await request.json())["files"]
        answer = [
            {"path": f["path"], "uploadMode": "lfs" if f["path"].endswith(LARGE) and f["size"] >= 10 else "regular"}
            for f in files
        ]
        return JSONResponse({"files": [{**one, "shouldIgnore": False, "oid": None} for one in answer]})

    @app.post("/{kind}/{owner}/{name}.git/info/lfs/objects/batch")
    async def lfs_batch(request: Request) -> Response:
        objects = []
        for one in (await request.json())["objects"]:
            upload = {"upload": {"href": f"{hub.url}/lfs/{one['oid']}", "header": {}}}
            actions = {} if one["oid"] in hub.objects else {"actions": upload}
            objects.append({"oid": one["oid"], "size": one["size"], "authenticated": True, **actions})
        return JSONResponse({"transfer": "basic", "objects": objects}, media_type="application/vnd.git-lfs+json")

    @app.put("/lfs/{oid}")
    async def lfs_put(oid: str, request: Request) -> dict:
        content = await request.body()
        assert hashlib.sha256(content).hexdigest() == oid
        hub.objects[oid] = content
        return {}

    @app.post("/api/{kind}/{owner}/{name}/commit/{revision}")
    async def commit(kind: str, owner: str, name: str, request: Request) -> Response:
        repository = find(kind, f"{owner}/{name}")
        if repository is None:
            return missing()
        body = await request.body()
        refused = hub.refusals.pop(0) if hub.refusals else None
        if refused is not None and not refused.is_done:
            return JSONResponse({"error": "refused, as asked"}, refused.status, headers=refused.headers)
        with lock:
            files, title = dict(repository.commits[-1].files), ""
            for line in body.splitlines():
                step = json.loads(line)
                value = step["value"]
                if step["key"] == "header":
                    title = value["summary"]
                    if value.get("parentCommit") not in {None, repository.commits[-1].sha}:
                        return refusal(412, "PreconditionFailed", "the parent commit is not the newest one")
                elif step["key"] == "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                elif step["key"] == "lfsFile":
                    files[value["path"]] = hub.objects[value["oid"]]
                elif step["key"] == "deletedFile":
                    files.pop(value["path"], None)
                else:
                    return refusal(400, "BadRequest", f"unknown step {step['key']}")
            sha = repository.add(title, files).sha
        if refused is not None:
            return JSONResponse({"error": "lost, as asked"}, refused.status, headers=refused.headers)
        url = f"{hub.url}/{kind}/{owner}/{name}/commit/{sha}"
        return JSONResponse({"success": True, "commitOid": sha, "commitUrl": url, "hookOutput": ""})

    def info(kind: str, repo_id: str, revision: str | None) -> Response:
        repository = find(kind, repo_id)
        if repository is None:
            return missing()
        at = repository.at(revision)
        if at is None:
            return refusal(404, "RevisionNotFound", "Invalid rev id")
        siblings = [{"rfilename": path} for path in sorted(at.files)]
        facts = {"id": repo_id, "sha": at.sha, "private": repository.private, "gated": repository.is_gated, "siblings": siblings}
        return JSONResponse({**facts, "lastModified": NOW, "createdAt": NOW, "tags": [], "downloads": 0, "likes": 0})

    @app.get("/api/{kind}/{owner}/{name}")
    def newest(kind: str, owner: str, name: str) -> Response:
        return info(kind, f"{owner}/{name}", None)

    @app.get("/api/{kind}/{owner}/{name}/revision/{revision}")
    def at_revision(kind: str, owner: str, name: str, revision: str) -> Response:
        return info(kind, f"{owner}/{name}", revision)

    @app.get("/api/{kind}/{owner}/{name}/tree/{revision}")
    @app.get("/api/{kind}/{owner}/{name}/tree/{revision}/{folder:path}")
    def listed(kind: str, owner: str, name: str, revision: str, folder: str = "", recursive: str = "false") -> Response:
        repository = find(kind, f"{owner}/{name}")
        at = repository.at(revision) if repository else None
        if at is None:
            return missing() if repository is None else refusal(404, "RevisionNotFound", "Invalid rev id")
        found = tree(at.files, folder, recursive.lower() == "true")
        return JSONResponse(found) if found or not folder else refusal(404, "EntryNotFound", f"{folder} does not exist")

    @app.post("/api/{kind}/{owner}/{name}/paths-info/{revision}")
    async def paths_info(kind: str, owner: str, name: str, revision: str, request: Request) -> Response:
        repository = find(kind, f"{owner}/{name}")
        at = repository.at(revision) if repository else None
        if at is None:
            return missing()
        is_json = "json" in request.headers.get("content-type", "")
        paths = (await request.json())["paths"] if is_json else (await request.form()).getlist("paths")
        return JSONResponse([entry(path, at.files[path]) for path in paths if path in at.files])

    def resolve(kind: str, repo_id: str, revision: str, path: str, request: Request) -> Response:
        repository = find(kind, repo_id)
        at = repository.at(revision) if repository else None
        if repository is None or at is None:
            return missing()
        if repository.is_gated:
            return refusal(403, "GatedRepo", "Access to this repository is restricted")
        if path not in at.files:
            return refusal(404, "EntryNotFound", "Entry not found")
        content, status = at.files[path], 200
        etag = hashlib.sha256(content).hexdigest() if is_large(path, content) else blob_id(content)
        headers = {"X-Repo-Commit": at.sha, "ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
        if asked := request.headers.get("range"):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start = int(first) if first else len(content) - int(last)
            stop = min(int(last) + 1, len(content)) if first and last else len(content)
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(content)}"
            content, status = content[start:stop], 206
        headers["Content-Length"] = str(len(content))
        if request.method == "HEAD":
            return Response(b"", status, headers)
        hub.downloads.append(f"{path}@{headers.get('Content-Range', 'whole')}")
        if path in hub.cut_once:
            hub.cut_once.remove(path)

            def half() -> object:
                yield content[: len(content) // 2]
                raise ConnectionResetError("cut in the middle, as asked")

            return StreamingResponse(half(), status, headers)
        return Response(content, status, headers)

    @app.api_route("/{kind}/{owner}/{name}/resolve/{revision}/{path:path}", methods=["GET", "HEAD"])
    def resolve_typed(kind: str, owner: str, name: str, revision: str, path: str, request: Request) -> Response:
        return resolve(kind, f"{owner}/{name}", revision, path, request) if kind in KINDS else missing()

    @app.api_route("/{owner}/{name}/resolve/{revision}/{path:path}", methods=["GET", "HEAD"])
    def resolve_model(owner: str, name: str, revision: str, path: str, request: Request) -> Response:
        return missing() if owner in KINDS else resolve("model", f"{owner}/{name}", revision, path, request)

    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    uvicorn.run(make_app(HubDouble()), host="127.0.0.1", port=parser.parse_args().port, log_level="warning")
