"""Everything that moves a reference: commits, pull requests and merges. Each is one step, or none."""

from collections.abc import Callable
from dataclasses import dataclass

from .commits import Commit, CommitRequest, Files, apply_operations, new_commit
from .discussions import Discussion, comment_event, commit_event, status_event, timestamp
from .errors import HubError, bad_request, revision_not_found
from .history import changed_paths, merge_files
from .names import pr_number
from .refs import Ref, RefKind
from .repository import MAIN, Repo


@dataclass(frozen=True)
class _Target:
    """A reference that a commit goes to."""

    kind: RefKind
    name: str
    commit: str


def commit_to(repo: Repo, revision: str, author: str, request: CommitRequest) -> Commit:
    """Commits to a branch or to an open pull request.

    A commit that changes nothing is not made: the one that the branch is at is the answer.

    Args:
        repo: The repository.
        revision: The branch, or `refs/pr/N`.
        author: The user who commits.
        request: What to change.

    Returns:
        The commit that the reference is at now.

    Raises:
        HubError: When the revision is not a branch, has moved on from the expected parent, or an operation does not
            fit.
    """
    with repo.lock():
        target = _target(repo, revision)
        parent = _checked_parent(repo, target.commit, request)
        files = apply_operations(parent.files, request.operations)
        if files == parent.files:
            return parent
        commit = new_commit([parent.oid], author, request.title, request.message, files)
        repo.store_commit(commit)
        repo.refs.put(target.kind, target.name, Ref(commit.oid))
        if target.kind == "pr":
            discussion = repo.discussions.get(int(target.name))
            discussion.events.append(commit_event(author, commit.oid, commit.title))
            repo.discussions.save(discussion)
        return commit


def propose_commit(repo: Repo, revision: str, author: str, request: CommitRequest) -> tuple[Discussion, Commit]:
    """Opens a pull request with a commit.

    Args:
        repo: The repository.
        revision: The branch that the changes are meant for.
        author: The user who proposes them.
        request: What to change.

    Returns:
        The pull request and its commit.

    Raises:
        HubError: When the revision is not a branch, has moved on from the expected parent, or an operation does not
            fit.
    """
    with repo.lock():
        branch = revision.removeprefix("refs/heads/")
        base = repo.refs.get("heads", branch)
        if base is None:
            raise revision_not_found(revision)
        parent = _checked_parent(repo, base.commit, request)
        files = apply_operations(parent.files, request.operations)
        if files == parent.files:
            raise bad_request("The pull request would change nothing")
        commit = new_commit([parent.oid], author, request.title, request.message, files)
        repo.store_commit(commit)
        opened = _open_discussion(repo, author, request.title, request.message, branch, base.commit, "open", commit)
        return opened, commit


def open_discussion(repo: Repo, author: str, title: str, text: str, *, is_pull_request: bool) -> Discussion:
    """Opens a discussion, or a draft of a pull request to which commits can be pushed.

    Args:
        repo: The repository.
        author: The user who opens it.
        title: Its title.
        text: The first comment.
        is_pull_request: Whether it is a pull request.

    Returns:
        The discussion.
    """
    with repo.lock():
        if not is_pull_request:
            return _open_discussion(repo, author, title, text, None, None, "open", None)
        head = repo.resolve(MAIN)
        return _open_discussion(repo, author, title, text, MAIN, head, "draft", None)


def update_discussion(repo: Repo, num: int, change: Callable[[Discussion], None]) -> Discussion:
    """Changes a discussion while nobody else does.

    Args:
        repo: The repository.
        num: The number of the discussion.
        change: Changes it in place.

    Returns:
        The discussion, changed.

    Raises:
        HubError: When there is none with this number, or `change` raises it.
    """
    with repo.lock():
        discussion = repo.discussions.get(num)
        change(discussion)
        repo.discussions.save(discussion)
        return discussion


def change_status(repo: Repo, num: int, author: str, status: str, comment: str) -> Discussion:
    """Opens, closes or opens again a discussion.

    Args:
        repo: The repository.
        num: Its number.
        author: The user who does it.
        status: `open` or `closed`.
        comment: A comment to leave with it, or "".

    Returns:
        The discussion, changed.

    Raises:
        HubError: When it has that status already, or was merged.
    """
    if status not in ("open", "closed"):
        raise bad_request("The status must be 'open' or 'closed'")

    def change(discussion: Discussion) -> None:
        if discussion.status in (status, "merged"):
            raise bad_request(f"#{num} is {discussion.status} already")
        discussion.status = status
        if comment:
            discussion.events.append(comment_event(author, comment))
        discussion.events.append(status_event(author, status))

    return update_discussion(repo, num, change)


def conflicts_of(repo: Repo, discussion: Discussion) -> list[str]:
    """Finds what keeps a pull request from being merged.

    Args:
        repo: The repository.
        discussion: An open pull request.

    Returns:
        The paths that both it and its branch have changed, differently.
    """
    if discussion.base is None or repo.refs.get("heads", discussion.base) is None:
        return []
    _, ours, base, theirs = _sides(repo, discussion)
    return merge_files(base, ours.files, theirs)[1]


def merge(repo: Repo, num: int, author: str, comment: str) -> Discussion:
    """Merges a pull request into its branch, as one commit.

    Args:
        repo: The repository.
        num: The number of the pull request.
        author: The user who merges.
        comment: A comment to leave with it, or "".

    Returns:
        The pull request, merged.

    Raises:
        HubError: When it is not an open pull request, changes nothing, or conflicts with its branch.
    """
    with repo.lock():
        discussion = repo.discussions.get(num)
        if not discussion.is_pull_request or discussion.status != "open":
            state = discussion.status if discussion.is_pull_request else "a discussion"
            raise bad_request(f"#{num} is {state}: only an open pull request can be merged")
        branch, ours, base, theirs = _sides(repo, discussion)
        if not changed_paths(base, theirs):
            raise bad_request(f"Pull request #{num} changes nothing")
        files, conflicts = merge_files(base, ours.files, theirs)
        if conflicts:
            raise HubError(409, f"Pull request #{num} conflicts with '{branch}' in: {', '.join(conflicts[:10])}")
        # Nothing is left to do when a merge was cut off between moving the branch and this.
        if files != ours.files:
            commit = new_commit([ours.oid], author, f"{discussion.title} (#{num})", "", files)
            repo.store_commit(commit)
            repo.refs.put("heads", branch, Ref(commit.oid))
        discussion.merge_commit = repo.resolve(f"refs/heads/{branch}")
        discussion.status = "merged"
        if comment:
            discussion.events.append(comment_event(author, comment))
        discussion.events.append(status_event(author, "merged"))
        repo.discussions.save(discussion)
        return discussion


def _sides(repo: Repo, discussion: Discussion) -> tuple[str, Commit, Files, Files]:
    """The branch, its newest commit, the files the pull request started from, and its own."""
    if discussion.base is None or discussion.base_commit is None:
        raise bad_request(f"#{discussion.num} is not a pull request")
    ours = repo.commit(repo.resolve(f"refs/heads/{discussion.base}"))
    theirs = repo.files_at(f"refs/pr/{discussion.num}")
    return discussion.base, ours, repo.commit(discussion.base_commit).files, theirs


def _target(repo: Repo, revision: str) -> _Target:
    number = pr_number(revision)
    kind: RefKind = "pr" if number else "heads"
    name = str(number) if number else revision.removeprefix("refs/heads/")
    ref = repo.refs.get(kind, name)
    if ref is None:
        raise revision_not_found(revision)
    if number and not repo.discussions.get(number).is_open:
        raise bad_request(f"Pull request #{number} is {repo.discussions.get(number).status}: open a new one")
    return _Target(kind, name, ref.commit)


def _checked_parent(repo: Repo, head: str, request: CommitRequest) -> Commit:
    if request.parent not in (None, head):
        raise HubError(
            412,
            f"A commit has happened since: expected parent {request.parent}, but the branch is at {head}. Get the "
            "new version and try again",
        )
    return repo.commit(head)


def _open_discussion(
    repo: Repo,
    author: str,
    title: str,
    text: str,
    base: str | None,
    base_commit: str | None,
    status: str,
    commit: Commit | None,
) -> Discussion:
    # A process killed between the two writes below leaves a reference without a discussion; its number is skipped.
    num = max([0, *repo.discussions.numbers(), *map(int, repo.refs.names("pr"))]) + 1
    discussion = Discussion(
        num=num,
        title=title,
        author=author,
        status=status,
        is_pull_request=base is not None,
        created_at=timestamp(),
        base=base,
        base_commit=base_commit,
        events=[comment_event(author, text)],
    )
    if base_commit is not None:
        if commit is not None:
            discussion.events.append(commit_event(author, commit.oid, commit.title))
        repo.refs.put("pr", str(num), Ref(commit.oid if commit else base_commit))
    repo.discussions.save(discussion)
    return discussion
