"""The local Hub, seen by the official Python client over HTTP."""

import logging
import os
import socket
import warnings
from urllib.parse import urlsplit

import pytest
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationCopy,
    CommitOperationDelete,
    HfApi,
    HfFileSystem,
    constants,
    hf_hub_url,
    snapshot_download,
)
from huggingface_hub.errors import (
    BadRequestError,
    DisabledRepoError,
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from scen_hf.hub_tools.local_hub import HubLimits, LocalHub


KIB, MIB = 2**10, 2**20
TOKENS = [
    "ann:write:token-of-ann",
    "ann:read:read-only-token-of-ann",
    "bob:write:token-of-bob",
]
CARD = """---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-generation
base_model: HuggingFaceTB/SmolLM2-135M-Instruct
base_model_relation: adapter
datasets: [some/facts]
tags: [edit-pack]
---
# Facts
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    limits = HubLimits(regular_max_bytes=64 * KIB, part_bytes=MIB, page_size=5)
    with LocalHub(tmp_path_factory.mktemp("hub"), tokens=TOKENS, limits=limits) as hub:
        yield hub


@pytest.fixture(autouse=True)
def without_xet(monkeypatch):
    """What HF_HUB_DISABLE_XET=1 does, in a process that has imported the client already."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


@pytest.fixture
def ann(hub):
    return HfApi(endpoint=hub.endpoint, token="token-of-ann")


@pytest.fixture
def bob(hub):
    return HfApi(endpoint=hub.endpoint, token="token-of-bob")


@pytest.fixture
def anyone(hub):
    return HfApi(endpoint=hub.endpoint, token=False)


@pytest.fixture
def repo(ann, request):
    """A repository of ann's, named after the test."""
    name = request.node.name.removeprefix("test_").split("[")[0]
    return ann.create_repo(f"ann/{name[:90]}").repo_id


def add(path: str, content: bytes | str) -> CommitOperationAdd:
    return CommitOperationAdd(path, content.encode() if isinstance(content, str) else content)


def commit(api: HfApi, repo: str, *operations, message: str = "change", **kwargs):
    return api.create_commit(repo, operations, commit_message=message, **kwargs)


def read(api: HfApi, repo: str, path: str, cache, **kwargs) -> bytes:
    with open(api.hf_hub_download(repo, path, cache_dir=cache, **kwargs), "rb") as file:
        return file.read()


def status_of(error: pytest.ExceptionInfo[HfHubHTTPError]) -> int:
    return error.value.response.status_code


# Users and repositories


def test_whoami(ann, hub):
    assert ann.whoami()["name"] == "ann"
    assert ann.whoami()["auth"]["accessToken"]["role"] == "write"
    assert (
        HfApi(endpoint=hub.endpoint, token="read-only-token-of-ann").whoami()["auth"]["accessToken"]["role"] == "read"
    )


def test_wrong_token_is_told_from_a_missing_repository(hub):
    with pytest.raises(HfHubHTTPError, match="Invalid") as error:
        HfApi(endpoint=hub.endpoint, token="a-wrong-token").model_info("ann/nothing")
    assert not isinstance(error.value, RepositoryNotFoundError)
    assert status_of(error) == 401
    assert "a-wrong-token" not in str(error.value)


def test_create_and_delete_a_repository(ann):
    url = ann.create_repo("ann/created")
    assert url.repo_id == "ann/created"
    assert ann.create_repo("ann/created", exist_ok=True).repo_id == "ann/created"
    with pytest.raises(HfHubHTTPError, match="already created") as error:
        ann.create_repo("ann/created")
    assert status_of(error) == 409
    assert ann.create_repo("short").repo_id == "ann/short"
    ann.delete_repo("ann/created")
    assert not ann.repo_exists("ann/created")
    ann.delete_repo("ann/created", missing_ok=True)
    with pytest.raises(RepositoryNotFoundError):
        ann.delete_repo("ann/created")


def test_a_repository_made_again_is_empty(ann):
    ann.create_repo("ann/again")
    old = commit(ann, "ann/again", add("secret.bin", b"x" * 100)).oid
    ann.delete_repo("ann/again")
    ann.create_repo("ann/again")
    assert ann.list_repo_files("ann/again") == [".gitattributes"]
    assert not ann.revision_exists("ann/again", old)


def test_other_kinds_of_repositories_are_refused(ann):
    with pytest.raises(BadRequestError, match="models only"):
        ann.create_repo("ann/data", repo_type="dataset")
    with pytest.raises(RepositoryNotFoundError, match="models only, not a dataset"):
        ann.dataset_info("ann/data")
    with pytest.raises(RepositoryNotFoundError, match="models only, not a space"):
        ann.hf_hub_download("ann/app", "app.py", repo_type="space")
    with pytest.raises(RepositoryNotFoundError):
        ann.model_info("gpt2")
    with pytest.raises(RepositoryNotFoundError):
        ann.hf_hub_download("gpt2", "config.json")


def test_model_info(ann, repo):
    config = '{"model_type": "scen_llama", "architectures": ["X"], "auto_map": {"AutoConfig": "a.B"}, "secret": 1}'
    made = commit(ann, repo, add("README.md", CARD), add("config.json", config), add("w.safetensors", b"abc"))
    info = ann.model_info(repo, files_metadata=True)
    assert info.sha == made.oid
    assert (info.author, info.private, info.gated, info.disabled) == ("ann", False, False, False)
    assert (info.pipeline_tag, info.library_name) == ("text-generation", "transformers")
    assert info.card_data.base_model == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert info.config == {"architectures": ["X"], "auto_map": {"AutoConfig": "a.B"}, "model_type": "scen_llama"}
    assert {
        "transformers",
        "safetensors",
        "scen_llama",
        "text-generation",
        "edit-pack",
        "custom_code",
        "en",
        "dataset:some/facts",
        "base_model:HuggingFaceTB/SmolLM2-135M-Instruct",
        "base_model:adapter:HuggingFaceTB/SmolLM2-135M-Instruct",
        "license:apache-2.0",
    } <= set(info.tags)
    files = {sibling.rfilename: sibling for sibling in info.siblings}
    assert files["w.safetensors"].lfs.size == 3
    assert files["config.json"].size == len(config)
    assert files["config.json"].lfs is None
    assert vars(ann.model_info(repo, expand=["sha", "tags"]))["sha"] == made.oid
    assert ann.model_info(repo, expand=["sha"]).siblings is None


def test_list_models(ann, bob, anyone):
    for name in ("alpha", "beta", "hidden"):
        ann.create_repo(f"ann/listed-{name}", private=name == "hidden")
    bob.create_repo("bob/listed-alpha")
    commit(bob, "bob/listed-alpha", add("README.md", CARD))
    assert [model.id for model in anyone.list_models(search="LISTED-", author="ann")] == [
        "ann/listed-alpha",
        "ann/listed-beta",
    ]
    assert [model.id for model in anyone.list_models(search="listed-alpha")] == [
        "ann/listed-alpha",
        "bob/listed-alpha",
    ]
    assert "ann/listed-hidden" in [model.id for model in ann.list_models(author="ann")]
    assert [model.id for model in ann.list_models(search="listed", filter="edit-pack")] == ["bob/listed-alpha"]
    assert [model.id for model in ann.list_models(search="listed", pipeline_tag="text-generation")] == [
        "bob/listed-alpha"
    ]
    # More than a page, and less.
    everything = [model.id for model in ann.list_models(sort="created_at")]
    assert len(everything) > 5
    assert len(set(everything)) == len(everything)
    assert [model.id for model in ann.list_models(sort="created_at", limit=2)] == everything[:2]
    assert next(ann.list_models(search="listed-beta", full=True)).siblings is not None
    assert {row.id for row in ann.list_user_repos()} >= {"ann/listed-alpha", "ann/listed-hidden"}


def test_repositories_of_an_organisation(ann, bob):
    ann.create_repo("acme/pack", private=True)
    commit(bob, "acme/pack", add("b.txt", "from bob"))
    assert "acme" in [org["name"] for org in bob.whoami()["orgs"]]
    assert [row.id for row in bob.list_user_repos("acme")] == ["acme/pack"]


# Files and commits


def test_upload_folder_and_download(ann, repo, tmp_path):
    source = tmp_path / "source"
    contents = {
        "README.md": CARD.encode(),
        "config.json": b"{}",
        "empty.txt": b"",
        "deep/er/note é+#%.txt": b"odd name",
        "small.safetensors": os.urandom(1000),
        "large.txt": os.urandom(70 * KIB),
        "exact.bin": os.urandom(2 * MIB),
        "parts.safetensors": os.urandom(3 * MIB + 12345),
    }
    for path, content in contents.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_bytes(content)

    made = ann.upload_folder(repo_id=repo, folder_path=source, commit_message="all of it", commit_description="yes")
    assert ann.model_info(repo).sha == made.oid

    target = snapshot_download(repo, endpoint=ann.endpoint, token=ann.token, cache_dir=tmp_path / "cache")
    for path, content in contents.items():
        with open(os.path.join(target, path), "rb") as file:
            assert file.read() == content, path
    lfs = {file.path for file in ann.list_repo_tree(repo, recursive=True) if getattr(file, "lfs", None)}
    assert lfs == {"small.safetensors", "large.txt", "exact.bin", "parts.safetensors"}
    assert ann.verify_repo_checksums(repo, local_dir=source).mismatches == []

    again = snapshot_download(repo, endpoint="http://127.0.0.1:9", cache_dir=tmp_path / "cache", local_files_only=True)
    assert again == target


def test_only_what_changed_is_uploaded(ann, repo, tmp_path, caplog):
    caplog.set_level(logging.INFO, "scen_hf.local_hub")
    (tmp_path / "old.safetensors").write_bytes(os.urandom(1000))
    (tmp_path / "same.json").write_text("{}")
    ann.upload_folder(repo_id=repo, folder_path=tmp_path)
    (tmp_path / "new.safetensors").write_bytes(os.urandom(1000))
    caplog.clear()
    before = ann.model_info(repo).sha
    ann.upload_folder(repo_id=repo, folder_path=tmp_path)
    assert sum("PUT '/-/lfs/" in message for message in caplog.messages) == 1
    # Nothing at all changed now.
    caplog.clear()
    head = ann.model_info(repo).sha
    assert head != before
    assert ann.upload_folder(repo_id=repo, folder_path=tmp_path).oid == head
    assert not any("PUT" in message or "/commit/" in message for message in caplog.messages)


def test_a_known_content_under_another_name_is_not_uploaded_again(ann, repo, caplog):
    caplog.set_level(logging.INFO, "scen_hf.local_hub")
    content = os.urandom(1000)
    commit(ann, repo, add("a.safetensors", content))
    caplog.clear()
    commit(ann, repo, add("b.safetensors", content))
    assert not any("PUT" in message for message in caplog.messages)


def test_files_are_listed_in_pages(ann, repo):
    paths = [f"{folder}/{number}.txt" for folder in ("a", "a/b", "c") for number in range(4)]
    first = commit(ann, repo, *(add(path, path) for path in paths))
    second = commit(ann, repo, add("a/1.txt", "changed"), message="later")
    entries = list(ann.list_repo_tree(repo, recursive=True))
    assert [entry.path for entry in entries] == sorted([*paths, "a", "a/b", "c", ".gitattributes"])
    assert [entry.path for entry in ann.list_repo_tree(repo)] == [".gitattributes", "a", "c"]
    assert [entry.path for entry in ann.list_repo_tree(repo, "a/b")] == [f"a/b/{number}.txt" for number in range(4)]
    last = {entry.path: entry.last_commit.oid for entry in ann.list_repo_tree(repo, recursive=True, expand=True)}
    assert (last["a/1.txt"], last["a"]) == (second.oid, second.oid)
    assert (last["a/2.txt"], last["a/b"], last["c"]) == (first.oid, first.oid, first.oid)
    assert last[".gitattributes"] == ann.list_repo_commits(repo)[-1].commit_id
    infos = ann.get_paths_info(repo, ["a", "c/1.txt", "no/where.txt"], expand=True)
    assert [(info.path, info.last_commit.title) for info in infos] == [("a", "later"), ("c/1.txt", "change")]
    with pytest.raises(RemoteEntryNotFoundError):
        list(ann.list_repo_tree(repo, "d"))


def test_delete_and_copy(ann, repo, tmp_path):
    weights = os.urandom(500)
    commit(ann, repo, add("a/1.txt", "1"), add("a/2.txt", "2"), add("w.safetensors", weights), add("note.txt", "n"))
    commit(
        ann,
        repo,
        CommitOperationCopy("w.safetensors", "copy/w.safetensors"),
        CommitOperationCopy("note.txt", "copy/note.txt"),
        CommitOperationDelete("w.safetensors"),
    )
    assert read(ann, repo, "copy/w.safetensors", tmp_path) == weights
    assert read(ann, repo, "copy/note.txt", tmp_path) == b"n"
    ann.delete_file("note.txt", repo)
    ann.delete_folder("a", repo)
    assert ann.list_repo_files(repo) == [".gitattributes", "copy/note.txt", "copy/w.safetensors"]
    ann.delete_files(repo, ["copy/*.txt"])
    assert ann.list_repo_files(repo) == [".gitattributes", "copy/w.safetensors"]
    head = ann.model_info(repo).sha
    with pytest.raises(RemoteEntryNotFoundError, match="differentiate file and folder"):
        commit(ann, repo, add("kept.txt", "no"), CommitOperationDelete("copy"))
    with pytest.raises(EntryNotFoundError):
        ann.delete_folder("nowhere", repo)
    assert ann.model_info(repo).sha == head


def test_a_path_cannot_be_a_file_and_a_folder(ann, repo):
    commit(ann, repo, add("a", "file"))
    with pytest.raises(BadRequestError, match="a file and a folder"):
        commit(ann, repo, add("a/b", "file"))


def test_parent_commit(ann, repo):
    start = ann.model_info(repo).sha
    first = commit(ann, repo, add("a.txt", "1"), parent_commit=start)
    with pytest.raises(HfHubHTTPError, match="A commit has happened since") as error:
        commit(ann, repo, add("a.txt", "2"), parent_commit=start)
    assert status_of(error) == 412
    assert ann.model_info(repo).sha == first.oid
    commit(ann, repo, add("a.txt", "2"), parent_commit=first.oid)


def test_a_commit_that_changes_nothing(ann, repo):
    made = commit(ann, repo, add("a.txt", "1"))
    again = commit(ann, repo, CommitOperationDelete("a.txt"), add("a.txt", "1"))
    assert again.oid == made.oid
    assert len(ann.list_repo_commits(repo)) == 2


def test_history_is_listed_in_pages(ann, repo):
    for number in range(52):
        commit(ann, repo, add("n.txt", str(number)), message=f"number {number}", commit_description="why")
    commits = ann.list_repo_commits(repo, formatted=True)
    assert [entry.title for entry in commits] == [*(f"number {n}" for n in reversed(range(52))), "initial commit"]
    assert (commits[0].message, commits[0].authors, commits[0].formatted_title) == ("why", ["ann"], "number 51")


def test_gitignore(ann, repo):
    commit(ann, repo, add(".gitignore", "*.log\n/build/\n!keep.log\n"))
    operations = [add("a.log", "x"), add("deep/keep.log", "x"), add("build/x.txt", "x"), add("src/build/x.txt", "x")]
    commit(ann, repo, *operations)
    assert ann.list_repo_files(repo) == [".gitattributes", ".gitignore", "deep/keep.log", "src/build/x.txt"]


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ("license: mine", '"license" cannot be "mine"'),
        ("language: English", '"language" cannot be "English"'),
        ("tags: one", '"tags" must be a list'),
        ("base_model: ./here", '"base_model" cannot be "./here"'),
        ("base_model_relation: sister", '"base_model_relation" must be one of'),
        ("a: [", "cannot read the yaml metadata"),
        ("a: &x [1]\nb: [*x, *x]", "aliases are not supported"),
        ("- just a list", "must be a mapping"),
        ("model-index: [{name: m, results: [{task: {type: t}}]}]", 'results[0].dataset.type" is required'),
    ],
)
def test_bad_metadata_is_refused(ann, metadata, problem):
    repo = ann.create_repo("ann/metadata", exist_ok=True).repo_id
    with pytest.raises(ValueError, match="Invalid metadata") as error:
        commit(ann, repo, add("README.md", f"---\n{metadata}\n---\n# Model\n"))
    assert problem in str(error.value)


def test_missing_metadata_is_warned_about(ann, repo):
    with pytest.warns(UserWarning, match="empty or missing yaml metadata"):
        commit(ann, repo, add("README.md", "# Model\n"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        commit(ann, repo, add("README.md", CARD))


# Branches, tags and revisions


def test_branches_and_tags(ann, repo, tmp_path):
    first = commit(ann, repo, add("a.txt", "1")).oid
    ann.create_tag(repo, tag="v1.0.0", tag_message="first")
    ann.create_branch(repo, branch="feature/x")
    second = commit(ann, repo, add("a.txt", "2"), revision="feature/x").oid
    ann.create_branch(repo, branch="old", revision="v1.0.0")
    refs = ann.list_repo_refs(repo, include_pull_requests=True)
    assert {ref.name: ref.target_commit for ref in refs.branches} == {"main": first, "feature/x": second, "old": first}
    assert [(ref.name, ref.ref, ref.target_commit) for ref in refs.tags] == [("v1.0.0", "refs/tags/v1.0.0", first)]
    assert refs.pull_requests == []

    contents = {
        "feature/x": b"2",
        "refs/heads/feature/x": b"2",
        second: b"2",
        "v1.0.0": b"1",
        "main": b"1",
        first: b"1",
    }
    for revision, content in contents.items():
        assert read(ann, repo, "a.txt", tmp_path, revision=revision) == content, revision
        assert ann.model_info(repo, revision=revision).sha == (second if content == b"2" else first)

    for make in (
        lambda exist_ok: ann.create_tag(repo, tag="v1.0.0", exist_ok=exist_ok),
        lambda exist_ok: ann.create_branch(repo, branch="old", exist_ok=exist_ok),
    ):
        make(True)
        with pytest.raises(HfHubHTTPError, match="Reference already exists") as error:
            make(False)
        assert status_of(error) == 409
    ann.delete_tag(repo, tag="v1.0.0")
    ann.delete_branch(repo, branch="feature/x")
    refs = ann.list_repo_refs(repo)
    assert [ref.name for ref in refs.branches] == ["main", "old"]
    assert refs.tags == []
    for missing in (
        lambda: ann.delete_tag(repo, tag="v1.0.0"),
        lambda: ann.delete_branch(repo, branch="feature/x"),
        lambda: ann.create_tag(repo, tag="v2", revision="nowhere"),
        lambda: ann.create_branch(repo, branch="b", revision="nowhere"),
        lambda: ann.model_info(repo, revision="nowhere"),
        lambda: ann.hf_hub_download(repo, "a.txt", revision="nowhere", cache_dir=tmp_path),
        lambda: commit(ann, repo, add("a.txt", "3"), revision="nowhere"),
        lambda: commit(ann, repo, add("a.txt", "3"), revision=first),
    ):
        with pytest.raises(RevisionNotFoundError):
            missing()
    with pytest.raises(HfHubHTTPError, match="cannot be deleted") as error:
        ann.delete_branch(repo, branch="main")
    assert status_of(error) == 403
    for name in ("a..b", "refs/pr/1", "-x", "x.lock", "a b", "a" * 101, "0" * 40):
        with pytest.raises(BadRequestError, match="Invalid reference name"):
            ann.create_branch(repo, branch=name)


def test_missing_files(ann, repo, tmp_path):
    with pytest.raises(RemoteEntryNotFoundError) as error:
        ann.hf_hub_download(repo, "nothing.txt", cache_dir=tmp_path)
    head = ann.model_info(repo).sha
    assert error.value.response.headers["X-Repo-Commit"] == head
    # The client has taken a note that there is no such file.
    assert (tmp_path / f"models--{repo.replace('/', '--')}" / ".no_exist" / head / "nothing.txt").exists()
    assert not ann.file_exists(repo, "nothing.txt")
    assert ann.file_exists(repo, ".gitattributes")


def test_file_metadata(ann, repo):
    weights = os.urandom(300)
    made = commit(ann, repo, add("w.safetensors", weights), add("a.txt", "hello\n"))
    plain = ann.get_hf_file_metadata(url=hf_hub_url(repo, "a.txt", endpoint=ann.endpoint))
    assert (plain.commit_hash, plain.etag, plain.size) == (made.oid, "ce013625030ba8dba906f756967f9e9ca394464a", 6)
    lfs = ann.get_hf_file_metadata(url=hf_hub_url(repo, "w.safetensors", endpoint=ann.endpoint))
    sha256 = ann.get_paths_info(repo, "w.safetensors")[0].lfs.sha256
    assert (lfs.commit_hash, lfs.etag, lfs.size) == (made.oid, sha256, 300)
    assert "token-of-ann" not in lfs.location


def test_file_system(ann, repo):
    weights = os.urandom(3 * KIB)
    commit(ann, repo, add("w.safetensors", weights), add("a.txt", "hello"))
    files = HfFileSystem(endpoint=ann.endpoint, token=ann.token, skip_instance_cache=True)
    assert sorted(files.ls(repo, detail=False)) == [
        f"{repo}/{name}" for name in (".gitattributes", "a.txt", "w.safetensors")
    ]
    with files.open(f"{repo}/w.safetensors", block_size=KIB) as file:
        file.seek(1000)
        assert file.read(50) == weights[1000:1050]


# Who may do what


def test_private_repositories(ann, bob, anyone, tmp_path):
    repo = ann.create_repo("ann/private", private=True).repo_id
    commit(ann, repo, add("w.safetensors", b"secret"))
    read_only = HfApi(endpoint=ann.endpoint, token="read-only-token-of-ann")
    assert read(read_only, repo, "w.safetensors", tmp_path) == b"secret"
    for api, status in ((bob, 404), (anyone, 401)):
        for call in (
            lambda api=api: api.model_info(repo),
            lambda api=api: api.list_repo_files(repo),
            lambda api=api: api.hf_hub_download(repo, "w.safetensors", cache_dir=tmp_path / "none"),
            lambda api=api: api.list_repo_refs(repo),
            lambda api=api: list(api.get_repo_discussions(repo)),
        ):
            with pytest.raises(RepositoryNotFoundError) as error:
                call()
            assert status_of(error) == status
    with pytest.raises(RepositoryNotFoundError):
        commit(bob, repo, add("b.txt", "mine"), create_pr=True)
    ann.update_repo_settings(repo, private=False)
    assert read(anyone, repo, "w.safetensors", tmp_path / "anyone") == b"secret"
    ann.update_repo_settings(repo, visibility="private")
    assert not anyone.repo_exists(repo)


def test_writing_needs_the_right(ann, bob, anyone, repo):
    read_only = HfApi(endpoint=ann.endpoint, token="read-only-token-of-ann")
    reasons = {bob: (403, "rights to change"), anyone: (401, "Sign in"), read_only: (403, "may only read")}
    for api, (status, reason) in reasons.items():
        for call in (
            lambda api=api: commit(api, repo, add("a.txt", "x")),
            lambda api=api: commit(api, repo, add("a.safetensors", "x")),
            lambda api=api: api.create_branch(repo, branch="b"),
            lambda api=api: api.create_tag(repo, tag="t"),
            lambda api=api: api.update_repo_settings(repo, private=True),
            lambda api=api: api.delete_repo(repo),
        ):
            with pytest.raises(HfHubHTTPError, match=reason) as error:
                call()
            assert status_of(error) == status
    with pytest.raises(HfHubHTTPError, match='under the namespace "ann"'):
        bob.create_repo("ann/of-bob")
    with pytest.raises(HfHubHTTPError, match="may only read"):
        read_only.create_repo("ann/of-reader")
    ann.auth_check(repo, write=True)
    with pytest.raises(HfHubHTTPError):
        bob.auth_check(repo, write=True)
    assert ann.list_repo_files(repo) == [".gitattributes"]


def test_gated_repositories(ann, bob, anyone, repo, tmp_path):
    commit(ann, repo, add("w.safetensors", b"weights"), add("a.txt", "text"))
    ann.update_repo_settings(repo, gated="manual")
    assert bob.model_info(repo).gated == "manual"
    assert bob.list_repo_files(repo) == [".gitattributes", "a.txt", "w.safetensors"]
    for api, status in ((bob, 403), (anyone, 401)):
        for path in ("a.txt", "w.safetensors"):
            with pytest.raises(GatedRepoError) as error:
                api.hf_hub_download(repo, path, cache_dir=tmp_path / "none")
            assert status_of(error) == status
        with pytest.raises(GatedRepoError):
            api.auth_check(repo)
    ann.grant_access(repo, "bob")
    assert [request.username for request in ann.list_accepted_access_requests(repo)] == ["bob"]
    assert read(bob, repo, "w.safetensors", tmp_path) == b"weights"
    ann.reject_access_request(repo, "bob", rejection_reason=None)
    with pytest.raises(GatedRepoError):
        bob.hf_hub_download(repo, "a.txt", cache_dir=tmp_path / "other")
    ann.update_repo_settings(repo, gated=False)
    assert read(anyone, repo, "a.txt", tmp_path) == b"text"


def test_disabled_repositories(ann, bob, repo):
    from huggingface_hub.utils import get_session

    headers = {"Authorization": "Bearer token-of-ann"}
    url = f"{ann.endpoint}/api/models/{repo}/settings"
    assert get_session().put(url, headers=headers, json={"disabled": True}).status_code == 200
    with pytest.raises(DisabledRepoError):
        bob.model_info(repo)
    assert ann.model_info(repo).disabled


# Discussions and pull requests


def test_a_proposed_commit_is_reviewed_and_merged(ann, bob, repo, tmp_path):
    weights = os.urandom(2 * MIB)
    base = commit(ann, repo, add("a.txt", "one\ntwo\n"), add("b.txt", "b")).oid
    proposed = commit(
        bob,
        repo,
        add("a.txt", "one\nthree\n"),
        add("w.safetensors", weights),
        CommitOperationDelete("b.txt"),
        message="Better facts",
        commit_description="Because.",
        create_pr=True,
        parent_commit=base,
    )
    assert (proposed.pr_num, proposed.pr_revision) == (1, "refs/pr/1")
    assert proposed.pr_url == f"{ann.endpoint}/{repo}/discussions/1"
    assert ann.model_info(repo).sha == base
    assert read(ann, repo, "w.safetensors", tmp_path, revision="refs/pr/1") == weights
    assert [ref.ref for ref in ann.list_repo_refs(repo, include_pull_requests=True).pull_requests] == ["refs/pr/1"]

    details = ann.get_discussion_details(repo, 1)
    assert (details.title, details.author, details.status) == ("Better facts", "bob", "open")
    assert (details.target_branch, details.conflicting_files) == ("refs/heads/main", [])
    assert [event.type for event in details.events] == ["comment", "commit"]
    assert details.events[0].content == "Because."
    assert details.events[1].oid == proposed.oid
    assert "-two\n+three\n" in details.diff
    assert "deleted file mode" in details.diff
    assert f"+size {2 * MIB}" in details.diff

    more = commit(bob, repo, add("c.txt", "c"), revision="refs/pr/1", message="And another")
    with pytest.raises(HfHubHTTPError, match="rights to change"):
        bob.merge_pull_request(repo, 1)
    comment = ann.comment_discussion(repo, 1, "Looks <good>")
    assert comment.rendered == "<p>Looks &lt;good&gt;</p>"
    other = commit(ann, repo, add("meanwhile.txt", "m"))
    ann.merge_pull_request(repo, 1, comment="Thanks")

    merged = bob.get_discussion_details(repo, 1)
    assert merged.status == "merged"
    assert merged.merge_commit_oid == ann.model_info(repo).sha
    assert [event.type for event in merged.events] == [
        "comment",
        "commit",
        "commit",
        "comment",
        "comment",
        "status-change",
    ]
    assert merged.events[2].oid == more.oid
    history = ann.list_repo_commits(repo)
    assert (history[0].title, history[1].commit_id) == ("Better facts (#1)", other.oid)
    assert ann.list_repo_files(repo) == [".gitattributes", "a.txt", "c.txt", "meanwhile.txt", "w.safetensors"]
    with pytest.raises(BadRequestError, match="merged"):
        ann.merge_pull_request(repo, 1)
    with pytest.raises(BadRequestError, match="merged"):
        commit(bob, repo, add("late.txt", "x"), revision="refs/pr/1")


def test_a_draft_is_filled_published_and_closed(ann, bob, repo):
    draft = bob.create_pull_request(repo, "  A draft  ", description="To come")
    assert (draft.title, draft.status, draft.git_reference) == ("A draft", "draft", "refs/pr/1")
    commit(bob, repo, add("a.txt", "a"), revision=draft.git_reference)
    with pytest.raises(BadRequestError, match="draft"):
        ann.merge_pull_request(repo, 1)
    assert bob.rename_discussion(repo, 1, "Ready").new_title == "Ready"
    assert bob.change_discussion_status(repo, 1, "open", comment="Please look").new_status == "open"
    assert ann.change_discussion_status(repo, 1, "closed").new_status == "closed"
    with pytest.raises(BadRequestError, match="closed"):
        commit(bob, repo, add("b.txt", "b"), revision="refs/pr/1")
    with pytest.raises(BadRequestError, match="closed already"):
        ann.change_discussion_status(repo, 1, "closed")
    bob.change_discussion_status(repo, 1, "open")
    ann.merge_pull_request(repo, 1)
    assert ann.list_repo_files(repo) == [".gitattributes", "a.txt"]


def test_conflicting_pull_requests_are_not_merged(ann, bob, repo):
    commit(ann, repo, add("a.txt", "a"), add("b.txt", "b"))
    commit(bob, repo, add("a.txt", "of bob"), add("new.txt", "n"), create_pr=True, message="First")
    commit(bob, repo, CommitOperationDelete("b.txt"), create_pr=True, message="Second")
    head = commit(ann, repo, add("a.txt", "of ann")).oid
    assert ann.get_discussion_details(repo, 1).conflicting_files == ["a.txt"]
    with pytest.raises(HfHubHTTPError, match=r"conflicts with 'main' in: a\.txt") as error:
        ann.merge_pull_request(repo, 1)
    assert status_of(error) == 409
    assert ann.model_info(repo).sha == head
    ann.merge_pull_request(repo, 2)
    assert ann.list_repo_files(repo) == [".gitattributes", "a.txt"]


def test_a_pull_request_must_change_something(ann, bob, repo):
    bob.create_pull_request(repo, "Nothing")
    bob.change_discussion_status(repo, 1, "open")
    with pytest.raises(BadRequestError, match="changes nothing"):
        ann.merge_pull_request(repo, 1)


def test_only_its_author_and_the_owner_manage_a_pull_request(ann, hub, repo):
    commit(ann, repo, add("a.txt", "a"), create_pr=True, message="By ann")
    bob = HfApi(endpoint=hub.endpoint, token="token-of-bob")
    for call in (
        lambda: commit(bob, repo, add("b.txt", "b"), revision="refs/pr/1"),
        lambda: bob.rename_discussion(repo, 1, "Mine"),
        lambda: bob.change_discussion_status(repo, 1, "closed"),
    ):
        with pytest.raises(HfHubHTTPError) as error:
            call()
        assert status_of(error) == 403


def test_discussions(ann, bob, anyone, repo):
    talk = bob.create_discussion(repo, "A question", description="Why?")
    commit(bob, repo, add("a.txt", "a"), create_pr=True, message="A proposal")
    assert (talk.num, talk.is_pull_request, talk.git_reference) == (1, False, None)
    assert [row.num for row in anyone.get_repo_discussions(repo)] == [2, 1]
    assert [row.num for row in anyone.get_repo_discussions(repo, discussion_type="discussion")] == [1]
    assert [row.num for row in anyone.get_repo_discussions(repo, discussion_type="pull_request")] == [2]
    comment = ann.comment_discussion(repo, 1, "Becuase.")
    edited = ann.edit_discussion_comment(repo, 1, comment.id, "Because.")
    assert (edited.content, edited.edited, edited.number_of_edits) == ("Because.", True, 1)
    with pytest.raises(HfHubHTTPError, match="Only its author"):
        bob.edit_discussion_comment(repo, 1, comment.id, "Never.")
    ann.change_discussion_status(repo, 1, "closed")
    assert [row.num for row in anyone.get_repo_discussions(repo, discussion_status="closed")] == [1]
    assert [row.num for row in anyone.get_repo_discussions(repo, author="ann")] == []
    for call in (
        lambda: ann.get_discussion_details(repo, 7),
        lambda: ann.comment_discussion(repo, 7, "?"),
        lambda: ann.merge_pull_request(repo, 7),
    ):
        with pytest.raises(HfHubHTTPError, match="no discussion or pull request #7"):
            call()
    with pytest.raises(BadRequestError, match="only an open pull request"):
        ann.merge_pull_request(repo, 1)
    with pytest.raises(HfHubHTTPError) as error:
        anyone.comment_discussion(repo, 1, "x")
    assert status_of(error) == 401


def test_the_hub_can_be_stopped_and_started_again(tmp_path):
    hub = LocalHub(tmp_path / "hub")
    with hub:
        endpoint = hub.endpoint
        api = HfApi(endpoint=endpoint, token=hub.token)
        repo = api.create_repo("kept").repo_id
        made = commit(api, repo, add("w.safetensors", b"weights"))
        api.create_tag(repo, tag="v1")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(urlsplit(endpoint).netloc.split(":"))
    with hub:
        assert hub.endpoint == endpoint
        assert api.model_info(repo, revision="v1").sha == made.oid
        assert read(api, repo, "w.safetensors", tmp_path / "cache") == b"weights"
