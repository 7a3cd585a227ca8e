"""A small W&B server on loopback that takes what `wandb sync` and live runs send, and keeps it to be compared.

Only what the client waits for is answered: GraphQL by the operation's name, file streams, uploads of files. Every row
of a run's history is kept at the line number that the client gave it, as W&B does, so that what is sent twice is there
once and what is never sent is a gap.
"""

from __future__ import annotations

import gzip
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "0123456789" * 4
"""An API key that the client takes for one."""
ENTITY = "nobody"
HISTORY = "wandb-history.jsonl"
ARTIFACT_INPUT = ("clientID", "sequenceClientID", "enableDigestDeduplication", "historyStep", "distributedID")
"""Of CreateArtifactInput, what not every server takes."""


@dataclass
class ReceivedRun:
    """What the server knows of one run."""

    upserts: list[dict[str, Any]] = field(default_factory=list)
    lines: dict[int, str] = field(default_factory=dict)
    """Of the history, by line number."""
    complete: bool = False

    @property
    def rows(self) -> list[dict[str, Any]]:
        assert sorted(self.lines) == list(range(len(self.lines))), f"gaps in {sorted(self.lines)}"
        return [json.loads(self.lines[number]) for number in sorted(self.lines)]

    def said(self, name: str) -> Any:
        """The last value of an argument that its upserts had."""
        return next((found for each in reversed(self.upserts) if (found := each.get(name)) is not None), None)


@dataclass
class Artifact:
    """type:name with its aliases, and the run that made it."""

    type: str
    name: str
    aliases: list[str]
    run: str
    digest: str
    manifest: dict[str, Any] = field(default_factory=dict)
    committed: bool = False


class RecordingServer(ThreadingHTTPServer):
    """`with RecordingServer() as server:` serves until the end of the block; `runs` by id."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.guard = threading.Lock()
        self.runs: dict[str, ReceivedRun] = {}
        self.artifacts: dict[str, Artifact] = {}
        """By the id that the server gave."""
        self.used: list[tuple[str, str]] = []
        """(run, artifact id) of what runs read."""
        self.alerts: list[dict[str, Any]] = []
        self.operations: list[str] = []
        self.uploads: dict[str, bytes] = {}
        """By path."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no error."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> RecordingServer:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def environment(self) -> dict[str, str]:
        """What points a client here, and nowhere else."""
        return {
            "WANDB_BASE_URL": self.url,
            "WANDB_API_KEY": KEY,
            "WANDB_ERROR_REPORTING": "false",
            "WANDB_ENTITY": ENTITY,
        }

    def answer(self, query: str, values: dict[str, Any]) -> dict[str, Any]:
        """The data of one GraphQL operation."""
        name = _operation(query)
        with self.guard:
            self.operations.append(name)
            found = getattr(self, f"_{name.lower()}", None)
            return found(values) if found else {}

    def _viewer(self, _: dict[str, Any]) -> dict[str, Any]:
        viewer = {"id": "1", "entity": ENTITY, "username": ENTITY, "flags": "{}", "teams": {"edges": []}}
        return {"viewer": viewer, "serverInfo": {"cliVersionInfo": {"max_cli_version": "1.0.0"}}}

    def _serverfeaturesquery(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"serverInfo": {"features": []}}

    def _serverinfo(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"serverInfo": {"cliVersionInfo": {}, "exposesExplicitRunRewind": False}}

    def _probeservercapabilities(self, _: dict[str, Any]) -> dict[str, Any]:
        """… and before it sends an alert."""
        fields = {
            "QueryType": "serverInfo",
            "MutationType": "notifyScriptableRunAlert",
            "ServerInfoType": "cliVersionInfo",
        }
        return {kind: {"fields": [{"name": name}]} for kind, name in fields.items()}

    def _probeservercreateartifactinput(self, _: dict[str, Any]) -> dict[str, Any]:
        """wandb 0.21's `sync` asks what the server knows before it sends an artifact."""
        return {"CreateArtifactInputInfoType": {"inputFields": [{"name": name} for name in ARTIFACT_INPUT]}}

    def _probeserverartifact(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"ArtifactInfoType": {"fields": [{"name": "id"}, {"name": "digest"}]}}

    def _upsertbucket(self, values: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.setdefault(values["name"], ReceivedRun())
        run.upserts.append(values)
        project = {"name": values.get("project"), "entity": {"name": ENTITY}}
        bucket = {"id": f"id-{values['name']}", "name": values["name"], "displayName": values.get("displayName")}
        bucket |= {"project": project, "historyLineCount": len(run.lines), "config": values.get("config") or "{}"}
        return {"upsertBucket": {"bucket": bucket, "inserted": len(run.upserts) == 1}}

    def _runresumestatus(self, values: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.get(values["name"])
        entity = {"id": "e", "name": ENTITY}
        bucket = None if run is None else _resumed(values["name"], run)
        return {"model": {"id": "m", "name": values["project"], "entity": entity, "bucket": bucket}}

    def _createrunfiles(self, values: dict[str, Any]) -> dict[str, Any]:
        files = [{"name": name, "uploadUrl": f"{self.url}/upload/{values['run']}/{name}"} for name in values["files"]]
        return {"createRunFiles": {"runID": values["run"], "uploadHeaders": [], "files": files}}

    def _runuploadurls(self, values: dict[str, Any]) -> dict[str, Any]:
        """What wandb 0.21's `sync` asks in place of createRunFiles."""
        urls = [(name, f"{self.url}/upload/{values['run']}/{name}") for name in values["files"]]
        edges = [{"node": {"name": name, "url": url, "updatedAt": None}} for name, url in urls]
        return {"model": {"bucket": {"id": values["run"], "files": {"uploadHeaders": [], "edges": edges}}}}

    def _notifyscriptablerunalert(self, values: dict[str, Any]) -> dict[str, Any]:
        self.alerts.append(values)
        return {"notifyScriptableRunAlert": {"success": True}}

    def _createartifact(self, values: dict[str, Any]) -> dict[str, Any]:
        given = values.get("input", values)
        aliases = [each["alias"] for each in given.get("aliases") or []]
        kind = given["artifactTypeName"]
        name = given.get("artifactCollectionName") or given["artifactCollectionNames"][0]  # the latter by wandb 0.21
        id_ = given["clientID"]
        made = self.artifacts.setdefault(id_, Artifact(kind, name, aliases, given["runName"], given["digest"]))
        state = "COMMITTED" if made.committed else "PENDING"
        sequence = {"id": "s", "latestArtifact": None}
        return {"createArtifact": {"artifact": {"id": id_, "state": state, "artifactSequence": sequence}}}

    def _createartifactmanifest(self, values: dict[str, Any]) -> dict[str, Any]:
        return {"createArtifactManifest": {"artifactManifest": self._manifest(values["artifactID"])}}

    def _updateartifactmanifest(self, values: dict[str, Any]) -> dict[str, Any]:
        id_ = values["artifactManifestID"].removeprefix("m-")
        return {"updateArtifactManifest": {"artifactManifest": self._manifest(id_)}}

    def _manifest(self, id_: str) -> dict[str, Any]:
        name = "wandb_manifest.json"
        file = {"id": f"f-{id_}", "name": name, "displayName": name, "uploadUrl": f"{self.url}/manifest/{id_}"}
        return {"id": f"m-{id_}", "file": {**file, "uploadHeaders": []}}

    def _createartifactfiles(self, values: dict[str, Any]) -> dict[str, Any]:
        edges = []
        for given in values.get("input", values)["artifactFiles"]:
            path, name = f"artifact/{given['artifactID']}/{given['name']}", given["name"]
            node = {"id": path, "name": name, "displayName": name, "uploadUrl": f"{self.url}/{path}"}
            node |= {"uploadHeaders": [], "storagePath": path, "uploadMultipartUrls": None}
            edges.append({"node": {**node, "artifact": {"id": given["artifactID"]}}})
        return {"createArtifactFiles": {"files": {"edges": edges}}}

    def _commitartifact(self, values: dict[str, Any]) -> dict[str, Any]:
        self.artifacts[values["artifactID"]].committed = True
        return {"commitArtifact": {"artifact": {"id": values["artifactID"], "digest": "d"}}}

    def _clientidmapping(self, values: dict[str, Any]) -> dict[str, Any]:
        id_ = values["clientID"]
        return {"clientIDMapping": {"serverID": id_} if id_ in self.artifacts else None}

    def _useartifact(self, values: dict[str, Any]) -> dict[str, Any]:
        given = values.get("input", values)
        self.used.append((given["runName"], given["artifactID"]))
        return {"useArtifact": {"artifact": {"id": given["artifactID"], "digest": "d"}}}

    def stream(self, run: str, sent: dict[str, Any]) -> None:
        """A chunk of a run's file stream."""
        with self.guard:
            held = self.runs.setdefault(run, ReceivedRun())
            chunk = (sent.get("files") or {}).get(HISTORY)
            for number, line in enumerate(chunk["content"] if chunk else ()):
                held.lines[chunk["offset"] + number] = line
            held.complete = held.complete or bool(sent.get("complete"))

    def upload(self, path: str, body: bytes) -> None:
        with self.guard:
            if path.startswith("/manifest/"):
                self.artifacts[path.removeprefix("/manifest/")].manifest = json.loads(body)
            self.uploads[path] = body


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: RecordingServer

    def log_message(self, *_: Any) -> None:
        """Nothing on stderr."""

    def do_POST(self) -> None:
        body = self._body()
        if self.path == "/graphql":
            sent = json.loads(body)
            try:
                self._send({"data": self.server.answer(sent["query"], sent.get("variables") or {})})
            except (KeyError, IndexError) as error:  # a client that this server does not know: it is not to ask again
                self._send({"errors": [{"message": f"{sent['query'][:80]}: {error!r}"}]}, 400)
            return
        streamed = re.fullmatch(r"/files/[^/]+/[^/]+/([^/]+)/file_stream", self.path)
        if streamed:
            self.server.stream(streamed[1], json.loads(body))
        self._send({})

    def do_PUT(self) -> None:
        self.server.upload(self.path, self._body())
        self._send({})

    def do_GET(self) -> None:
        self._send({})

    def _body(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _send(self, values: dict[str, Any], status: int = 200) -> None:
        answer = json.dumps(values).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


def _resumed(name: str, run: ReceivedRun) -> dict[str, Any]:
    """What a client is told of a run that it goes on with."""
    rows = run.rows
    return {
        "id": f"id-{name}",
        "name": name,
        "displayName": run.said("displayName"),
        "config": run.said("config") or "{}",
        "summaryMetrics": json.dumps(rows[-1] if rows else {}),
        "historyLineCount": len(rows),
        "historyTail": json.dumps([json.dumps(row) for row in rows[-1:]]),
        "eventsLineCount": 0,
        "eventsTail": "[]",
        "logLineCount": 0,
        "wandbConfig": "{}",
        "tags": [],
    }


def _operation(query: str) -> str:
    found = re.search(r"(?:query|mutation)\s+(\w+)", query)
    return found[1] if found else "Unnamed"
