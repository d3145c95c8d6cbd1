"""The local Hub against requests that the official client would not send."""

import base64
import hashlib
import http.client
import json
import logging
import os
import socket
from urllib.parse import parse_qsl, urlsplit

import pytest

from scen_hf.hub_tools.local_hub import HubLimits, LocalHub, LocalHubError
from scen_hf.hub_tools.local_hub.errors import HubError
from scen_hf.hub_tools.local_hub.signing import Signer


ANN, BOB, READER = "token-of-ann", "token-of-bob", "token-of-reader"
LIMITS = HubLimits(
    regular_max_bytes=1000, part_bytes=2000, file_max_bytes=10_000, commit_max_bytes=50_000, json_max_bytes=20_000
)


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    root = tmp_path_factory.mktemp("hub")
    (root / "outside.txt").write_text("outside")
    tokens = [f"ann:write:{ANN}", f"bob:write:{BOB}", f"reader:read:{READER}"]
    with LocalHub(root / "inside", tokens=tokens, limits=LIMITS) as hub:
        yield hub


class Answer:
    """What a server answered."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)


@pytest.fixture
def send(hub):
    """Sends a request exactly as given: paths are neither normalised nor quoted."""

    def send(method: str, path: str, body: bytes | object = None, token: str | None = ANN, **headers: str) -> Answer:
        connection = http.client.HTTPConnection(urlsplit(hub.endpoint).netloc, timeout=30)
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        all_headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            all_headers["Authorization"] = f"Bearer {token}"
        try:
            connection.request(method, path, body=body, headers=all_headers)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    return send


@pytest.fixture
def repo(send, request):
    name = request.node.name.removeprefix("test_").split("[")[0][:90]
    assert send("POST", "/api/repos/create", {"name": name, "organization": "ann"}).status in (200, 409)
    return f"ann/{name}"


def commit_lines(*operations: tuple[str, dict]) -> bytes:
    lines = [
        {"key": "header", "value": {"summary": "s"}},
        *({"key": key, "value": value} for key, value in operations),
    ]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def put_file(send, repo: str, path: object, content: str = "x", **kwargs) -> Answer:
    value = {"path": path, "content": base64.b64encode(content.encode()).decode(), "encoding": "base64"}
    return send("POST", f"/api/models/{repo}/commit/main", commit_lines(("file", value)), **kwargs)


def upload_lfs(send, repo: str, content: bytes) -> str:
    oid = hashlib.sha256(content).hexdigest()
    body = {"operation": "upload", "objects": [{"oid": oid, "size": len(content)}]}
    answer = send("POST", f"/{repo}.git/info/lfs/objects/batch", body).json["objects"][0]
    if "actions" in answer:
        url = urlsplit(answer["actions"]["upload"]["href"])
        assert send("PUT", f"{url.path}?{url.query}", content, token=None).status == 200
    return oid


# Paths


@pytest.mark.parametrize(
    "path",
    [
        "/../../outside.txt",
        "/%2e%2e/%2e%2e/outside.txt",
        "/ann/../../resolve/main/outside.txt",
        "/..%2f../x/resolve/main/outside.txt",
        "/{repo}/resolve/main/../../../../outside.txt",
        "/{repo}/resolve/main/..%2f..%2f..%2f..%2foutside.txt",
        "/{repo}/resolve/..%2f..%2f..%2foutside.txt/x",
        "/{repo}/resolve/refs%2fheads%2f..%2f..%2frepo.json/x",
        "/{repo}/resolve/..%2frepo.json/.gitattributes",
        "/{repo}/resolve/main/%2fetc%2fpasswd",
        "/{repo}/resolve/main//etc/passwd",
        "/{repo}/resolve/main/.gitattributes%00",
        "/{repo}%00/resolve/main/.gitattributes",
        "/api/models/..%2f..%2foutside.txt",
        "/api/models/ann/..%2f..%2foutside.txt",
        "/api/models/../../../outside.txt",
        "/api/models/{repo}/tree/main/..%2f..",
        "/api/models/{repo}/tree/..%2f..%2fcommits",
        "/api/models/{repo}/revision/..",
        "/api/models/{repo}/revision/%2e%2e%2f%2e%2e",
        "/api/models/{repo}/discussions/..%2f..%2frepo",
        "/-/lfs/object/..%2f..%2frepo.json",
    ],
)
def test_paths_do_not_leave_the_repository(send, repo, path):
    answer = send("GET", path.format(repo=repo))
    assert 400 <= answer.status < 500
    assert b"outside" not in answer.body.replace(b"outside.txt", b"")
    assert b"created_at" not in answer.body


@pytest.mark.parametrize(
    "path",
    [
        *("", ".", "..", "../x", "a/../x", "/etc/passwd", "a//b", "a/", "./a", "a\\..\\b", ".git/config"),
        *("a\0b", "a\nb", "x" * 1025, "\ud800", None, 7, ["a"]),
    ],
)
def test_paths_of_new_files_are_checked(send, repo, path):
    answer = put_file(send, repo, path)
    assert answer.status == 400
    copy = commit_lines(("copyFile", {"path": path, "srcPath": ".gitattributes"}))
    assert send("POST", f"/api/models/{repo}/commit/main", copy).status == 400


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        ("ann", ".."),
        ("ann", "../../x"),
        ("..", "x"),
        ("ann", "x/y"),
        ("ann", "a--b"),
        ("ann", "x.git"),
        ("ann", ""),
        ("ann", "x" * 97),
        ("ann", "é"),
        ("ann", "x\0"),
        ("api", "models"),
        ("Datasets", "x"),
        ("ann", 7),
    ],
)
def test_repository_names_are_checked(send, owner, name):
    assert send("POST", "/api/repos/create", {"name": name, "organization": owner}).status == 400


# Bodies


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b"{}",
        b'{"key": "header"}',
        b'{"key": "header", "value": {"summary": ""}}',
        b'{"key": "header", "value": {"summary": 1}}',
        b'{"key": "header", "value": {"summary": "\\ud800"}}',
        b'{"key": "header", "value": {"summary": "s", "parentCommit": "main"}}',
        b'{"key": "header", "value": {"summary": "s"}}\n{"key": "format", "value": {}}',
        b'{"key": "file", "value": {"path": "a", "content": "x"}}',
        b"[" * 100_000,
    ],
)
def test_malformed_commits_are_refused(send, repo, body):
    before = send("GET", f"/api/models/{repo}").json["sha"]
    assert send("POST", f"/api/models/{repo}/commit/main", body).status in (400, 413)
    assert send("GET", f"/api/models/{repo}").json["sha"] == before


@pytest.mark.parametrize(
    ("key", "value", "status"),
    [
        ("file", {"path": "a", "content": "%%%", "encoding": "base64"}, 400),
        ("file", {"path": "a", "content": 7}, 400),
        ("file", {"path": "a", "content": "x", "encoding": "rot13"}, 400),
        ("file", {"path": "a", "content": "x" * 1001}, 400),
        ("lfsFile", {"path": "a", "oid": "../../x"}, 400),
        ("lfsFile", {"path": "a", "oid": "0" * 64, "size": 3}, 400),
        ("deletedFile", {"path": "nothing"}, 404),
        ("deletedFolder", {"path": "nothing/"}, 404),
        ("copyFile", {"path": "a", "srcPath": "nothing"}, 404),
        ("copyFile", {"path": "a", "srcPath": ".gitattributes", "srcRevision": "../x"}, 404),
    ],
)
def test_operations_that_do_not_fit_change_nothing(send, repo, key, value, status):
    lines = commit_lines(("file", {"path": "kept.txt", "content": "x"}), (key, value))
    assert send("POST", f"/api/models/{repo}/commit/main", lines).status == status
    assert [row["rfilename"] for row in send("GET", f"/api/models/{repo}").json["siblings"]] == [".gitattributes"]


def test_a_file_is_copied_on_the_server(send, repo):
    copied = ("copyFile", {"path": "b.txt", "srcPath": "a.txt", "srcRevision": "main"})
    put_file(send, repo, "a.txt", "content")
    assert send("POST", f"/api/models/{repo}/commit/main", commit_lines(copied)).status == 200
    assert send("GET", f"/{repo}/resolve/main/b.txt").body == b"content"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/repos/create", b"{"),
        ("POST", "/api/repos/create", b'{"name": NaN}'),
        ("POST", "/api/models/{repo}/preupload/main", {"files": 1}),
        ("POST", "/api/models/{repo}/preupload/main", {"files": [{"path": 1}]}),
        ("POST", "/api/models/{repo}/paths-info/main", {"paths": "a"}),
        ("POST", "/{repo}.git/info/lfs/objects/batch", {"operation": "download"}),
        ("POST", "/{repo}.git/info/lfs/objects/batch", {"operation": "upload", "objects": [{"oid": "x", "size": 1}]}),
        ("POST", "/{repo}.git/info/lfs/objects/batch", {"operation": "upload", "objects": [{"oid": "0" * 64}]}),
        ("POST", "/api/models/{repo}/tag/main", {"tag": 7}),
        ("POST", "/api/models/{repo}/branch/a..b", {}),
        ("POST", "/api/models/{repo}/discussions", {"title": "x"}),
        ("POST", "/api/models/{repo}/discussions", {"title": "\ud800\ud800\ud800"}),
        ("PUT", "/api/models/{repo}/settings", {"gated": "maybe"}),
        ("PUT", "/api/models/{repo}/settings", {"visibility": "secret"}),
        ("PUT", "/api/models/{repo}/settings", {}),
        ("POST", "/api/models/{repo}/user-access-request/handle", {"user": "bob", "status": "x"}),
        ("GET", "/api/models?sort=secret", None),
        ("GET", "/api/models?limit=x", None),
        ("GET", "/api/models/{repo}/tree/main?cursor=%ff", None),
    ],
)
def test_malformed_requests_are_refused(send, repo, method, path, body):
    answer = send(method, path.format(repo=repo), body)
    assert answer.status == 400
    assert answer.json["error"]


def test_size_limits(send, repo):
    assert send("POST", "/api/repos/create", b" " * 20_001).status == 413
    assert send("POST", f"/api/models/{repo}/commit/main", b" " * 50_001).status == 413
    body = {"operation": "upload", "objects": [{"oid": "0" * 64, "size": 10_001}]}
    answer = send("POST", f"/{repo}.git/info/lfs/objects/batch", body).json["objects"][0]
    assert answer["error"]["code"] == 413
    paths = {"paths": ["a"] * 1001}
    assert send("POST", f"/api/models/{repo}/paths-info/main", paths).status == 413


def test_unknown_pages(send):
    assert send("GET", "/").status == 404
    assert send("GET", "/favicon.ico").status == 404
    assert send("POST", "/api/models").status == 405
    assert send("GET", "/api/datasets").status == 404
    assert send("POST", "/-/faults", {}).status == 404


# Uploads


def batch(send, repo: str, oid: str, size: int, **kwargs) -> Answer:
    body = {"operation": "upload", "objects": [{"oid": oid, "size": size}]}
    return send("POST", f"/{repo}.git/info/lfs/objects/batch", body, **kwargs)


def relative(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def test_a_wrong_content_is_not_stored(send, hub, repo):
    oid = "1" * 64
    upload = relative(batch(send, repo, oid, 5).json["objects"][0]["actions"]["upload"]["href"])
    assert send("PUT", upload, b"hello", token=None).status == 400
    assert send("PUT", upload, b"hell", token=None).status == 400
    assert send("PUT", upload, b"hello, world", token=None).status == 413
    assert send("POST", f"/{repo}.git/info/lfs/objects/verify", {"oid": oid, "size": 5}).status == 404
    lines = commit_lines(("lfsFile", {"path": "w.bin", "algo": "sha256", "oid": oid, "size": 5}))
    assert send("POST", f"/api/models/{repo}/commit/main", lines).status == 400
    assert no_leftovers(hub)


def test_parts_are_checked(send, hub, repo):
    content = os.urandom(5000)
    oid = hashlib.sha256(content).hexdigest()
    actions = batch(send, repo, oid, 5000).json["objects"][0]["actions"]["upload"]
    header, complete = actions["header"], relative(actions["href"])
    assert header["chunk_size"] == "2000"
    urls = [relative(header[str(number)]) for number in (1, 2, 3)]

    def finish(*numbers: int) -> int:
        parts = [{"partNumber": number, "etag": "x"} for number in numbers]
        return send("POST", complete, {"oid": oid, "parts": parts}, token=None).status

    assert send("PUT", urls[2], content[:2000], token=None).status == 413
    assert send("PUT", urls[0], content[:1999], token=None).status == 400
    assert send("PUT", urls[0], content[2000:4000], token=None).status == 200
    assert send("PUT", urls[1], content[2000:4000], token=None).status == 200
    assert finish(1, 2, 3) == 400
    assert send("PUT", urls[2], content[4000:], token=None).headers["ETag"]
    assert finish(1, 2) == 400
    # The first part has the right size, and the wrong content.
    assert finish(1, 2, 3) == 400
    assert send("PUT", urls[0], content[:2000], token=None).status == 200
    assert finish(1, 2, 3) == 200
    # Sent again because the answer was lost.
    assert finish(1, 2, 3) == 200
    assert no_leftovers(hub)


def test_uploads_need_a_valid_signature(send, repo):
    upload = batch(send, repo, "2" * 64, 5).json["objects"][0]["actions"]["upload"]["href"]
    path, query = urlsplit(upload).path, urlsplit(upload).query
    for changed in (
        path,
        f"{path}?{query.replace('size=5', 'size=50')}",
        f"{path}?{query.replace('ann', 'bob')}",
        f"{path}?{query[:-1]}",
        f"{path}?{query}&more=1",
        f"{path.replace('upload', 'part')}?{query}",
        f"{path.replace('upload', 'object')}?{query}",
    ):
        for token in (ANN, None):
            assert send("PUT", changed, b"hello", token=token).status in (403, 405), changed
    assert send("PUT", f"{path.replace('2' * 64, '3' * 64)}?{query}", b"hello").status == 404


def test_signatures_expire():
    signer = Signer(b"secret", lifetime_s=-1)
    with pytest.raises(HubError, match="expired"):
        signer.check("download", dict(parse_qsl(signer.query("download", {"a": "b"}))))


def test_a_content_of_another_repository_is_not_given_away(send, repo):
    """Knowing the hash of a file in a private repository must not be enough to get it."""
    oid = upload_lfs(send, repo, b"the private content")
    send("POST", "/api/repos/create", {"name": "thief", "organization": "bob"}, token=BOB)
    assert "actions" in batch(send, "bob/thief", oid, 19, token=BOB).json["objects"][0]
    lines = commit_lines(("lfsFile", {"path": "w.bin", "oid": oid, "size": 19}))
    assert send("POST", "/api/models/bob/thief/commit/main", lines, token=BOB).status == 400


# Downloads


def test_ranges(send, repo):
    content = bytes(range(200))
    oid = upload_lfs(send, repo, content)
    lines = commit_lines(
        ("lfsFile", {"path": "w.bin", "oid": oid, "size": 200}),
        ("file", {"path": "a.txt", "content": base64.b64encode(content).decode(), "encoding": "base64"}),
    )
    sha = send("POST", f"/api/models/{repo}/commit/main", lines).json["commitOid"]
    redirect = send("GET", f"/{repo}/resolve/main/w.bin")
    assert (redirect.status, redirect.headers["X-Repo-Commit"]) == (302, sha)
    assert (redirect.headers["X-Linked-Etag"], redirect.headers["X-Linked-Size"]) == (f'"{oid}"', "200")
    assert ANN not in redirect.headers["Location"]
    for path in (f"/{repo}/resolve/main/a.txt", redirect.headers["Location"]):
        whole = send("GET", path, token=None)
        assert (whole.status, whole.body, whole.headers["Content-Length"]) == (200, content, "200")
        part = send("GET", path, token=None, Range="bytes=50-59")
        assert (part.status, part.body) == (206, content[50:60])
        assert part.headers["Content-Range"] == "bytes 50-59/200"
        assert send("GET", path, token=None, Range="bytes=-10").body == content[-10:]
        assert send("GET", path, token=None, Range="bytes=190-").body == content[190:]
        beyond = send("GET", path, token=None, Range="bytes=200-")
        assert (beyond.status, beyond.headers["Content-Range"]) == (416, "bytes */200")
        head = send("HEAD", path, token=None)
        assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", "200")
        assert head.headers["X-Repo-Commit"] == sha
        assert head.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in head.headers["Content-Security-Policy"]


def test_errors_of_head_requests_are_in_headers(send, repo):
    missing = send("HEAD", f"/{repo}/resolve/main/nothing%c3%a9")
    assert (missing.status, missing.headers["X-Error-Code"]) == (404, "EntryNotFound")
    assert send("HEAD", f"/{repo}/resolve/nowhere/x").headers["X-Error-Code"] == "RevisionNotFound"
    assert send("HEAD", "/ann/nothing/resolve/main/x").headers["X-Error-Code"] == "RepoNotFound"
    assert send("HEAD", "/ann/nothing/resolve/main/x", token=None).status == 401


# Tokens


@pytest.mark.parametrize("authorization", ["Bearer x", "Bearer ", "Basic dG9rZW4=", "token-of-ann", "Bearer \xe9"])
def test_wrong_credentials(send, repo, authorization):
    answer = send("GET", f"/api/models/{repo}", token=None, Authorization=authorization)
    assert answer.status == 401
    assert answer.headers["X-Error-Message"] == "Invalid credentials in Authorization header"


def test_tokens_and_signatures_stay_out_of_logs_and_files(send, hub, repo, caplog):
    caplog.set_level(logging.DEBUG)
    oid = upload_lfs(send, repo, b"content")
    put_file(send, repo, "a.txt")
    put_file(send, repo, "b.txt", token=READER)
    send("GET", f"/api/models/{repo}?token={ANN}")
    assert f"POST '/api/models/{repo}/commit/main' 200" in caplog.messages
    assert f"PUT '/-/lfs/upload/{oid}' 200" in caplog.messages
    for secret in (ANN, READER, "signature="):
        assert secret not in caplog.text
        for file in hub.root.rglob("*"):
            assert not file.is_file() or secret.encode() not in file.read_bytes()
    assert ANN not in repr(hub._tokens)


def test_a_log_line_cannot_be_forged(send, caplog):
    caplog.set_level(logging.INFO, "scen_hf.local_hub")
    send("GET", "/x%0aGET%20'/forged'%20200")
    assert all("\n" not in message for message in caplog.messages)


def test_the_secret_is_for_the_owner_of_the_server_only(hub):
    assert (hub.root / "secret.key").stat().st_mode & 0o077 == 0


def test_a_damaged_secret_is_explained(tmp_path):
    (tmp_path / "secret.key").write_text("x")
    with pytest.raises(LocalHubError, match="is damaged"):
        LocalHub(tmp_path).start()


def test_listening_beyond_this_machine_is_warned_about(tmp_path, caplog):
    with LocalHub(tmp_path / "a", host="localhost"), LocalHub(tmp_path / "b", host="127.0.0.1"):
        assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    with LocalHub(tmp_path / "c", host="0.0.0.0"):
        assert "unencrypted" in caplog.text


def test_a_port_in_use_is_explained(hub, tmp_path):
    with pytest.raises(LocalHubError, match="cannot listen"):
        LocalHub(tmp_path, port=urlsplit(hub.endpoint).port).start()


def test_the_name_of_a_user_is_kept(tmp_path):
    """When bob is not given a token any more, his repositories do not become everyone's."""
    with LocalHub(tmp_path, tokens=[f"ann:write:{ANN}", f"bob:write:{BOB}"]):
        pass
    with LocalHub(tmp_path, tokens=[f"ann:write:{ANN}"]) as hub:
        connection = http.client.HTTPConnection(urlsplit(hub.endpoint).netloc)
        headers = {"Authorization": f"Bearer {ANN}"}
        for owner, status in (("bob", 403), ("team", 200)):
            body = json.dumps({"name": "x", "organization": owner})
            connection.request("POST", "/api/repos/create", body, headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == status


def test_garbage_instead_of_http(hub):
    with socket.create_connection(urlsplit(hub.endpoint).netloc.split(":")) as connection:
        connection.sendall(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
        assert b"400" in connection.recv(1000)


def no_leftovers(hub: LocalHub) -> bool:
    """Whether nothing unfinished is left, apart from locks and parts of uploads that can still be completed."""
    return [file.name for file in (hub.root / "scratch").rglob("*") if file.is_file()] == ["lock", "lock"]
