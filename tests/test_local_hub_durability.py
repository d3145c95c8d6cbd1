"""The local Hub under load, under faults, and killed at any moment."""

import contextlib
import errno
import http.client
import json
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import httpx2
import pytest
from huggingface_hub import CommitOperationAdd, HfApi, constants, snapshot_download
from huggingface_hub.errors import HfHubHTTPError

import scen_hf.hub_tools.local_hub as local_hub
from scen_hf.hub_tools.local_hub import Fault, FaultPlan, HubLimits, LocalHub


MIB = 2**20
TOKEN = "token-of-ann"

# Runs a module of the local Hub without loading the rest of the library, which takes seconds.
STUBS = """
import os, sys, types
folder = sys.argv.pop(1)
packages = [("scen_hf", None), ("scen_hf.hub_tools", os.path.dirname(folder)), ("scen_hf.hub_tools.local_hub", folder)]
for name, path in packages[:3 if sys.argv[1] == "storage" else 2]:
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [path] if path else []
"""
SERVER = f"{STUBS}\nfrom scen_hf.hub_tools.local_hub.cli import app\napp()\n"


@pytest.fixture(autouse=True)
def without_xet(monkeypatch):
    """What HF_HUB_DISABLE_XET=1 does, in a process that has imported the client already."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


@pytest.fixture
def waits(monkeypatch):
    """The waits between the retries of the client, which are noted and not waited."""
    waits: list[float] = []
    monkeypatch.setattr("huggingface_hub.utils._http.time", SimpleNamespace(sleep=waits.append))
    return waits


@pytest.fixture
def hub(tmp_path):
    tokens = [f"ann:write:{TOKEN}", "reader:read:token-of-reader"]
    limits = HubLimits(part_bytes=MIB)
    with LocalHub(tmp_path / "hub", tokens=tokens, faults=FaultPlan(), limits=limits) as hub:
        yield hub


@pytest.fixture
def api(hub):
    return HfApi(endpoint=hub.endpoint, token=hub.token)


@pytest.fixture
def repo(api):
    return api.create_repo("ann/pack").repo_id


def push(api: HfApi, repo: str, path: str, content: bytes, **kwargs):
    return api.create_commit(repo, [CommitOperationAdd(path, content)], commit_message=f"add {path}", **kwargs)


def fetch(api: HfApi, repo: str, path: str, folder: Path) -> bytes:
    return Path(api.hf_hub_download(repo, path, local_dir=folder)).read_bytes()


class ServerProcess:
    """A server in a process of its own."""

    def __init__(self, root: Path, port: int = 0) -> None:
        folder = str(Path(local_hub.__file__).parent)
        options = ["serve", "--root", root, "--port", port, "--token", f"ann:write:{TOKEN}", "--faults"]
        command = [sys.executable, "-c", SERVER, folder, *map(str, options)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.endpoint = self.process.stdout.readline().rsplit(maxsplit=1)[-1]
        self.port = urlsplit(self.endpoint).port or 0
        wait_until(self.answers)

    def answers(self) -> bool:
        with contextlib.suppress(OSError):
            return self.request("GET", "/api/models")[0] == 200
        return False

    def request(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        try:
            return answer.status, answer.read()
        finally:
            connection.close()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def start_server():
    """Starts server processes, and ends those that are left."""
    servers: list[ServerProcess] = []

    def start(root: Path, port: int = 0) -> ServerProcess:
        servers.append(ServerProcess(root, port))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


def wait_until(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def unfinished_files(root: Path) -> list[Path]:
    return [file for file in (root / "scratch").rglob("*") if file.is_file() and file.name != "lock"]


# Load


def test_concurrent_pushes_lose_nothing(api, repo, tmp_path, start_server):
    """Threads push through two servers on one root, and so does the hf command in processes of its own."""
    second = start_server(tmp_path / "hub")
    other = HfApi(endpoint=second.endpoint, token=TOKEN)
    (tmp_path / "file.bin").write_bytes(os.urandom(1000))
    environment = {
        **os.environ,
        "HF_ENDPOINT": second.endpoint,
        "HF_TOKEN": TOKEN,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(tmp_path / "home"),
    }
    hf = shutil.which("hf", path=Path(sys.executable).parent) or shutil.which("hf")
    commands = [[str(hf), "upload", repo, str(tmp_path / "file.bin"), f"hf/{number}.bin"] for number in range(2)]
    running = [subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) for command in commands]

    def push_one(number: int) -> str:
        suffix = "safetensors" if number % 3 == 0 else "txt"
        return push((api, other)[number % 2], repo, f"t/{number}.{suffix}", b"%d" % number).oid

    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(push_one, range(24)))
    assert [process.wait(60) for process in running] == [0, 0]

    commits = [commit.commit_id for commit in api.list_repo_commits(repo)]
    assert len(commits) == 1 + 24 + 2
    assert set(made) <= set(commits)
    files = set(other.list_repo_files(repo))
    assert len(files) == 1 + 24 + 2
    target = snapshot_download(repo, endpoint=api.endpoint, token=TOKEN, local_dir=tmp_path / "target")
    assert all(Path(target, path).read_text() == Path(path).stem for path in files if path.startswith("t/"))


def test_of_concurrent_pushes_onto_one_parent_one_wins(api, repo):
    parent = api.model_info(repo).sha

    def push_one(number: int) -> str | int:
        try:
            return push(api, repo, "a.txt", b"%d" % number, parent_commit=parent).oid
        except HfHubHTTPError as error:
            return error.response.status_code

    with ThreadPoolExecutor(6) as threads:
        results = list(threads.map(push_one, range(6)))
    assert results.count(412) == 5
    assert api.model_info(repo).sha in results


def test_concurrent_creation_and_deletion(api):
    def create(number: int) -> int:
        try:
            api.create_repo("ann/raced")
        except HfHubHTTPError as error:
            return error.response.status_code
        return 200

    for _ in range(3):
        with ThreadPoolExecutor(4) as threads:
            assert sorted(threads.map(create, range(4))) == [200, 409, 409, 409]
        assert api.list_repo_files("ann/raced") == [".gitattributes"]
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda _: api.delete_repo("ann/raced", missing_ok=True), range(4)))
        assert not api.repo_exists("ann/raced")


def test_concurrent_pull_requests_get_numbers_of_their_own(api, repo):
    with ThreadPoolExecutor(6) as threads:
        made = list(threads.map(lambda n: push(api, repo, f"{n}.txt", b"x", create_pr=True).pr_num, range(6)))
    assert sorted(made) == [1, 2, 3, 4, 5, 6]
    for number in made:
        api.merge_pull_request(repo, number)
    assert len(api.list_repo_files(repo)) == 7


def test_a_full_disk_is_explained_and_leaves_nothing(api, repo, tmp_path, monkeypatch):
    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = api.model_info(repo).sha
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", fail)
        for call in (lambda: push(api, repo, "a.txt", b"a"), lambda: api.create_repo("ann/more")):
            with pytest.raises(HfHubHTTPError, match="disk of this Hub is full") as error:
                call()
            assert error.value.response.status_code == 507
    assert api.model_info(repo).sha == before
    assert unfinished_files(tmp_path / "hub") == []
    push(api, repo, "a.txt", b"a")
    api.create_repo("ann/more")


# Death


def test_a_server_killed_while_it_receives_a_file(start_server, tmp_path):
    root = tmp_path / "hub"
    server = start_server(root)
    api = HfApi(endpoint=server.endpoint, token=TOKEN)
    repo = api.create_repo("ann/pack").repo_id
    before = push(api, repo, "a.safetensors", b"weights").oid

    content = os.urandom(4 * MIB)
    upload = CommitOperationAdd("b.safetensors", content)
    batch = {"operation": "upload", "objects": [{"oid": upload.upload_info.sha256.hex(), "size": len(content)}]}
    answer = server.request("POST", f"/{repo}.git/info/lfs/objects/batch", batch)[1]
    url = urlsplit(json.loads(answer)["objects"][0]["actions"]["upload"]["href"])
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.putrequest("PUT", f"{url.path}?{url.query}")
    connection.putheader("Content-Length", str(len(content)))
    connection.endheaders(content[: 3 * MIB])
    wait_until(lambda: any(file.stat().st_size >= MIB for file in unfinished_files(root)))
    server.kill()
    connection.close()
    assert unfinished_files(root)

    again = start_server(root, server.port)
    assert unfinished_files(root) == []
    assert api.model_info(repo).sha == before
    assert fetch(api, repo, "a.safetensors", tmp_path / "out") == b"weights"
    push(api, repo, "b.safetensors", content)
    assert fetch(api, repo, "b.safetensors", tmp_path / "out") == content
    assert again.endpoint == server.endpoint


def test_a_server_killed_before_it_commits(start_server, tmp_path):
    root = tmp_path / "hub"
    server = start_server(root)
    api = HfApi(endpoint=server.endpoint, token=TOKEN)
    repo = api.create_repo("ann/pack").repo_id
    before = api.model_info(repo).sha
    content = os.urandom(MIB)
    assert server.request("POST", "/-/faults", {"path": "*/commit/*", "delay_s": 600})[0] == 200
    with ThreadPoolExecutor(1) as thread:
        pushed = thread.submit(push, api, repo, "w.safetensors", content)
        wait_until(lambda: json.loads(server.request("GET", "/-/faults")[1])[0]["fired"])
        server.kill()
        with pytest.raises(httpx2.TransportError):
            pushed.result()
    start_server(root, server.port)
    assert api.model_info(repo).sha == before
    assert push(api, repo, "w.safetensors", content).oid == api.model_info(repo).sha
    assert fetch(api, repo, "w.safetensors", tmp_path / "out") == content


def test_what_was_acknowledged_survives_kills_under_load(start_server, tmp_path):
    root = tmp_path / "hub"
    server = start_server(root)
    repo = HfApi(endpoint=server.endpoint, token=TOKEN).create_repo("ann/pack").repo_id
    acknowledged: dict[str, str] = {}

    def push_until_it_fails(api: HfApi, name: str) -> None:
        for number in range(1000):
            try:
                made = push(api, repo, f"{name}-{number}.safetensors", f"{name}-{number}".encode())
            except Exception:
                # Killed in the middle: whether this one arrived is open.
                return
            acknowledged[f"{name}-{number}.safetensors"] = made.oid

    for life in range(2):
        api = HfApi(endpoint=server.endpoint, token=TOKEN)
        goal = len(acknowledged) + 8
        threads = [threading.Thread(target=push_until_it_fails, args=(api, f"{life}{name}")) for name in "abc"]
        # One attempt per call: the client would wait for the server to come back.
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("huggingface_hub.utils._http.time", SimpleNamespace(sleep=_give_up))
            for thread in threads:
                thread.start()
            wait_until(lambda goal=goal: len(acknowledged) >= goal)
            server.kill()
            for thread in threads:
                thread.join()
        server = start_server(root, server.port)
        assert unfinished_files(root) == []
        commits = {commit.commit_id for commit in api.list_repo_commits(repo)}
        assert set(acknowledged.values()) <= commits
        assert set(acknowledged) <= set(api.list_repo_files(repo))
    target = snapshot_download(repo, endpoint=server.endpoint, token=TOKEN, local_dir=tmp_path / "out")
    assert all(Path(target, path).read_text() == Path(path).stem for path in acknowledged)


def _give_up(seconds: float) -> None:
    raise ConnectionError("the server was killed")


KILLED_AT_EVERY_STEP = f"""{STUBS}
import itertools, json, shutil, signal
from pathlib import Path
from scen_hf.hub_tools.local_hub import changes, storage, uploads
from scen_hf.hub_tools.local_hub.commits import CommitReader
from scen_hf.hub_tools.local_hub.durable import Incoming
from scen_hf.hub_tools.local_hub.limits import HubLimits
from scen_hf.hub_tools.local_hub.refs import Ref
from scen_hf.hub_tools.local_hub.repository import RepoSettings

base = Path(sys.argv[2])
# A killed process loses nothing that it has written: waiting for the disk would only take time here.
os.fsync = lambda descriptor: None


def request(repo, **files):
    lines = [{{"key": "header", "value": {{"summary": "change", "description": ""}}}}]
    lines += [{{"key": "file", "value": {{"path": path, "content": content}}}} for path, content in files.items()]
    return CommitReader(repo.objects, repo.files_at, 1000).read(json.dumps(line).encode() for line in lines)


def commit(hub):
    repo = hub.repo("ann/a")
    changes.commit_to(repo, "main", "ann", request(repo, x="new", y="changed"))


def propose(hub):
    repo = hub.repo("ann/a")
    changes.propose_commit(repo, "main", "ann", request(repo, x="proposed"))


def push_to_proposal(hub):
    repo = hub.repo("ann/a")
    changes.commit_to(repo, "refs/pr/1", "ann", request(repo, z="more"))


def merge(hub):
    changes.merge(hub.repo("ann/a"), 1, "ann", "")


def create(hub):
    hub.create("ann/b", RepoSettings(private=True), "ann")


def delete(hub):
    repo = hub.repo("ann/a")
    if repo:
        hub.delete(repo)


def settings(hub):
    hub.repo("ann/a").change_settings(lambda old: RepoSettings(private=True))


def tag(hub):
    repo = hub.repo("ann/a")
    repo.refs.put("tags", "v1", Ref(repo.resolve("main")))


def assemble(hub):
    for number, content in ((1, b"first"), (2, b"second")):
        part = Incoming(hub.scratch, 100)
        part.write(content)
        part.finish()
        hub.uploads.keep_part("0" * 32, number, part)
    sha256 = "da83f63e1a473003712c18f5afc5a79044221943d1083c7c5a7ac7236d85e8d2"
    hub.uploads.assemble("0" * 32, 2, sha256, 11, hub.repo("ann/a").objects)


def prepare(root):
    hub = storage.Storage(root, HubLimits())
    repo = hub.create("ann/a", RepoSettings(private=False), "ann")
    changes.commit_to(repo, "main", "ann", request(repo, x="old", y="old"))
    changes.propose_commit(repo, "main", "ann", request(repo, y="of the proposal"))
    hub.close()


def state(root):
    "Everything that can be seen, apart from ids and times. Reading it checks every content."
    hub = storage.Storage(root, HubLimits())
    seen = {{}}
    for repo in hub.repos():
        revisions = [*repo.refs.names("heads"), *repo.refs.names("tags")]
        opened = [repo.discussions.get(num) for num in repo.discussions.numbers()]
        revisions += [f"refs/pr/{{one.num}}" for one in opened]
        files = {{name: repo.files_at(name) for name in revisions}}
        seen[repo.repo_id] = {{
            "files": {{name: {{path: text(repo, file) for path, file in tree.items()}} for name, tree in files.items()}},
            "history": {{name: [one.title for one in repo.history(repo.resolve(name))] for name in revisions}},
            "discussions": [(one.num, one.title, one.status) for one in opened],
            "private": repo.settings().private,
            "objects": sorted(file.name for file in (root / "repos" / repo.repo_id / "objects").glob("*/*")),
        }}
    hub.close()
    return seen


def text(repo, file):
    content = repo.objects.path(file.sha256).read_bytes()
    import hashlib
    assert hashlib.sha256(content).hexdigest() == file.sha256 and len(content) == file.size
    return content.decode()


def visible(state):
    "Contents that no commit names are not to be seen."
    return {{name: {{**repo, "objects": None}} for name, repo in state.items()}}


def deadly(function, step, calls):
    def call(*arguments, **named):
        if next(calls) == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **named)
    return call


def run(operation, root, step):
    "Runs an operation in a process that is killed at one of its steps. Tells whether it came to the end."
    pid = os.fork()
    if pid == 0:
        hub = storage.Storage(root, HubLimits())
        calls = itertools.count(1)
        for name in ("fsync", "mkdir", "rename", "replace", "rmdir", "unlink"):
            setattr(os, name, deadly(getattr(os, name), step, calls))
        operation(hub)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


prepare(base / "start")
for operation in (commit, propose, push_to_proposal, merge, create, delete, settings, tag, assemble):
    before = state(base / "start")
    shutil.copytree(base / "start", base / "done")
    assert run(operation, base / "done", 0)
    after = state(base / "done")
    assert after != before
    for step in itertools.count(1):
        root = base / "root"
        shutil.copytree(base / "start", root)
        ended = run(operation, root, step)
        found = state(root)
        # Opening the root again has removed what was unfinished.
        assert not [file for file in (root / "scratch").rglob("*") if file.is_file() and file.name != "lock"]
        if operation is merge and visible(found) not in (visible(before), visible(after)):
            # The branch has moved and the proposal is still open: merging again completes it.
            assert found["ann/a"]["files"]["main"] == after["ann/a"]["files"]["main"]
            assert run(merge, root, 0)
            assert visible(state(root)) == visible(after)
        else:
            assert visible(found) in (visible(before), visible(after)), (operation, step, found)
        shutil.rmtree(root)
        if ended:
            break
    print(operation.__name__, step - 1)
    shutil.rmtree(base / "done")
"""


def test_killed_at_every_step_of_every_operation(tmp_path):
    folder = str(Path(local_hub.__file__).parent)
    command = [sys.executable, "-c", KILLED_AT_EVERY_STEP, folder, "storage", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    steps = dict(line.split() for line in done.stdout.splitlines())
    assert len(steps) == 9
    assert all(int(count) >= 2 for count in steps.values()), steps


def test_uploads_that_cannot_be_completed_any_more_are_removed(tmp_path):
    with LocalHub(tmp_path):
        pass
    old, new = (tmp_path / "uploads" / (digit * 32) for digit in "01")
    for folder in (old, new):
        folder.mkdir()
    os.utime(old, (0, 0))
    with LocalHub(tmp_path):
        assert not old.exists()
        assert new.exists()


# Faults


def test_rate_limits_are_waited_out(hub, api, repo, waits, tmp_path):
    preupload = hub.faults.add(Fault(method="POST", path="*/preupload/*", status=429, retry_after=7, times=2))
    upload = hub.faults.add(Fault(method="PUT", path="/-/lfs/*", status=429, retry_after=3))
    content = os.urandom(1000)
    push(api, repo, "w.safetensors", content)
    assert waits == [8.0, 8.0, 4.0]
    assert (preupload.fired, upload.fired) == (2, 1)
    assert fetch(api, repo, "w.safetensors", tmp_path) == content


@pytest.mark.parametrize("size", [1000, 2 * MIB + 1])
def test_server_errors_during_an_upload_are_retried(hub, api, repo, waits, tmp_path, size):
    hub.faults.add(Fault(method="PUT", path="/-/lfs/*", status=503, times=2))
    hub.faults.add(Fault(method="POST", path="*/objects/verify", status=500))
    content = os.urandom(size)
    push(api, repo, "w.safetensors", content)
    assert len(waits) == 3
    assert fetch(api, repo, "w.safetensors", tmp_path) == content


@pytest.mark.parametrize("size", [MIB, 2 * MIB + 1])
def test_a_connection_that_breaks_during_an_upload(hub, api, repo, waits, tmp_path, size):
    fault = hub.faults.add(Fault(method="PUT", path="/-/lfs/*", drop_after=300_000, times=2))
    content = os.urandom(size)
    push(api, repo, "w.safetensors", content)
    assert fault.fired == 2
    assert len(waits) == 2
    assert fetch(api, repo, "w.safetensors", tmp_path) == content
    assert unfinished_files(tmp_path / "hub") == []


def test_a_download_is_resumed(hub, api, repo, tmp_path, caplog, monkeypatch):
    content = os.urandom(3 * MIB)
    push(api, repo, "w.safetensors", content)
    caplog.set_level(logging.INFO, "scen_hf.local_hub")
    # The client resumes after the last piece that was complete; they are 10 MiB unless this is changed.
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", MIB)
    fault = hub.faults.add(Fault(method="GET", path="/-/lfs/object/*", drop_after=2 * MIB + 1))
    assert fetch(api, repo, "w.safetensors", tmp_path) == content
    assert fault.fired == 1
    assert [message[-3:] for message in caplog.messages if message.startswith("GET '/-/lfs/object/")] == ["200", "206"]


def test_an_upload_that_keeps_failing_leaves_nothing(hub, api, repo, waits, tmp_path):
    before = api.model_info(repo).sha
    hub.faults.add(Fault(method="PUT", path="/-/lfs/*", status=500, times=100))
    with pytest.raises(RuntimeError, match="Error while uploading"):
        push(api, repo, "w.safetensors", b"weights")
    hub.faults.clear()
    hub.faults.add(Fault(method="POST", path="*/commit/*", drop_after=10))
    with pytest.raises(httpx2.TransportError):
        push(api, repo, "w.safetensors", b"weights")
    assert api.model_info(repo).sha == before
    assert api.list_repo_files(repo) == [".gitattributes"]
    assert unfinished_files(tmp_path / "hub") == []


def test_faults_are_planned_over_http(hub, api, repo):
    def call(method: str, token: str = TOKEN, body: object = None) -> tuple[int, object]:
        connection = http.client.HTTPConnection(urlsplit(hub.endpoint).netloc, timeout=30)
        text = json.dumps(body) if body is not None else None
        connection.request(method, "/-/faults", text, {"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())

    assert call("POST", token="token-of-reader", body={"status": 500})[0] == 403
    for wrong in ({"status": 200}, {"status": 599}, {"times": 0}, {"unknown": 1}, []):
        assert call("POST", body=wrong)[0] == 400, wrong
    assert call("POST", body={"method": "GET", "path": "/api/models/*", "status": 418, "delay_s": 0.01})[0] == 200
    with pytest.raises(HfHubHTTPError, match="Injected fault") as error:
        api.model_info(repo)
    assert error.value.response.status_code == 418
    assert api.model_info(repo).id == repo
    status, faults = call("GET")
    assert (status, faults[0]["fired"]) == (200, 1)
    assert call("DELETE")[0] == 200
    assert call("GET")[1] == []
