"""Parts of the local Hub that need no server."""

from datetime import UTC, datetime

import pytest

from scen_hf.hub_tools.local_hub.auth import Token, parse_token
from scen_hf.hub_tools.local_hub.commits import FileEntry
from scen_hf.hub_tools.local_hub.git_ids import blob_oid, commit_oid, folder_oids
from scen_hf.hub_tools.local_hub.history import merge_files
from scen_hf.hub_tools.local_hub.names import is_ref_name, is_repo_id
from scen_hf.hub_tools.local_hub.upload_modes import IgnoreRules, upload_mode


def test_ids_are_those_of_git():
    """Against what `git write-tree` and `git commit-tree` gave for the same files."""
    contents = {"a.txt": b"hello\n", "a/b/c.txt": b"x", "a/b.txt": b"", "ab/é.txt": b"q", "a-b": b"z"}
    oids = folder_oids({path: blob_oid(content) for path, content in contents.items()})
    assert oids == {
        "": "aea492db261a3f08f645d24d00be16a92770a2a3",
        "a": "b01a4bb5058babc687f856f64c178c09d46f852f",
        "a/b": "e2b0c41b0f7802e3db16736400d84a86ca333494",
        "ab": "88fdffaeb22ce68224c7b2b3de74bde9146a7958",
    }
    date = datetime.fromtimestamp(1_700_000_000, UTC)
    assert commit_oid(oids[""], [], "ann", date, "title\n") == "4b0a7e5f1ea64c5ab94f166b7a1439273bc50cf2"
    assert folder_oids({}) == {"": "4b825dc642cb6eb9a060e54bf8d69288fbee4904"}


@pytest.mark.parametrize(
    ("rules", "ignored", "kept"),
    [
        ("*.log", ["a.log", "x/a.log"], ["a.logs", "log"]),
        ("/top", ["top", "top/x"], ["x/top"]),
        ("dir/", ["dir/x", "y/dir/x"], ["dir", "y/dir"]),
        ("a/*.txt", ["a/x.txt"], ["b/a/x.txt", "a/b/x.txt"]),
        ("**/cache", ["cache/x", "a/b/cache"], ["caches"]),
        ("a/**", ["a/x", "a/b/c"], ["a", "b/a/x"]),
        ("a/**/z", ["a/z", "a/b/c/z"], ["a/zz"]),
        ("*.bin\n!keep.bin", ["x.bin"], ["keep.bin", "a/keep.bin"]),
        ("out/\n!out/keep", ["out/keep"], []),
        ("file?.[ch]", ["file1.c", "x/file2.h"], ["file.c", "file10.c", "file1.o"]),
        ("[!a-c]x", ["dx"], ["ax", "/x"]),
        ("# comment\n\n\\#real\n\\!bang", ["#real", "!bang"], ["comment", "# comment"]),
        ("[z-a]\n(x\n+y", ["(x", "+y"], ["z", "a"]),
    ],
)
def test_ignore_rules(rules, ignored, kept):
    found = IgnoreRules(rules)
    assert [path for path in ignored if not found.ignores(path)] == []
    assert [path for path in kept if found.ignores(path)] == []


def test_upload_modes():
    assert upload_mode("a.txt", 100, 100) == "regular"
    assert upload_mode("a.txt", 101, 100) == "lfs"
    assert upload_mode("deep/W.SafeTensors", 1, 100) == "lfs"


def test_merge_of_files():
    one, two, three = (FileEntry(str(number), 1, "x", lfs=False) for number in range(3))
    base = {"same": one, "ours": one, "theirs": one, "gone": one, "both": one, "alike": one}
    ours = {**base, "ours": two, "both": two, "alike": three, "new": one}
    theirs = {**base, "theirs": two, "both": three, "alike": three, "added": one}
    del theirs["gone"]
    merged, conflicts = merge_files(base, ours, theirs)
    assert conflicts == ["both"]
    assert merged == {"same": one, "ours": two, "theirs": two, "both": two, "alike": three, "new": one, "added": one}
    assert merge_files({}, {"a": one}, {"a/b": one})[1] == ["a/b"]


def test_names():
    assert all(map(is_repo_id, ("a/b", "Ann_1/pack.v1", "_x/y_")))
    assert not any(map(is_repo_id, ("a", "a/b/c", "a/", "/b", "-a/b", "a/b.", "a/..", "api/x", "a/b\n", "a/b.git")))
    assert all(map(is_ref_name, ("v1.0.0", "feature/x", "a+b")))
    assert not any(map(is_ref_name, ("", "..", "a/..", "a//b", "/a", "a/", ".a", "a.lock", "a\n", "ä")))


def test_tokens():
    assert parse_token("ann:write:with:colons") == Token("ann", "write", "with:colons")
    assert "with:colons" not in repr(parse_token("ann:write:with:colons"))
