"""Pull requests to packs: which commit is proposed, and on which version it is based."""

from __future__ import annotations

from dataclasses import dataclass

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.hf_api import RepoFile

from ..modeling.hub_scen_llama import HubError, hub_errors


# Shown, but not loaded: that they changed meanwhile does not make a proposal out of date.
_SHOWN = frozenset({"README.md", ".gitattributes"})


@dataclass(frozen=True)
class Proposal:
    """A pull request.

    Args:
        repo_id: The repository.
        number: Of the pull request.
        status: `"draft"`, `"open"`, `"closed"` or `"merged"`.
        branch: What it is to be merged into.
        commit: What it proposes.
        base_commit: The last commit of the branch that it contains: the version it is based on.
        is_outdated: Whether files of the pack have changed on the branch since.
    """

    repo_id: str
    number: int
    status: str
    branch: str
    commit: str
    base_commit: str
    is_outdated: bool

    def __str__(self) -> str:
        return f"{self.repo_id}#{self.number}"


def find_proposal(api: HfApi, repo_id: str, number: int) -> Proposal:
    """Look a pull request up.

    Raises:
        HubError: If the Hub refuses, or there is no such pull request.
    """
    with hub_errors(repo_id, None):
        try:
            details = api.get_discussion_details(repo_id, number)
        except HfHubHTTPError as error:
            if error.response.status_code != 404 or not api.repo_exists(repo_id):
                raise
            raise HubError(f"{repo_id} has no pull request #{number}.") from error
        if not details.is_pull_request:
            raise HubError(f"{repo_id}#{number} is a discussion and proposes nothing.")
        branch = (details.target_branch or "main").removeprefix("refs/heads/")
        proposed = [commit.commit_id for commit in api.list_repo_commits(repo_id, revision=f"refs/pr/{number}")]
        on_branch = [commit.commit_id for commit in api.list_repo_commits(repo_id, revision=branch)]
        base_commit = _shared(proposed, on_branch, f"{repo_id}#{number}")
        moved = on_branch[0] != base_commit and details.status != "merged"
        is_outdated = moved and _files(api, repo_id, base_commit) != _files(api, repo_id, on_branch[0])
    return Proposal(repo_id, number, details.status, branch, proposed[0], base_commit, is_outdated)


def _shared(proposed: list[str], on_branch: list[str], where: str) -> str:
    """The newest commit that both histories have."""
    known = set(on_branch)
    for commit in proposed:
        if commit in known:
            return commit
    raise HubError(f"{where} shares no version with the branch it is to be merged into; propose it anew.")


def _files(api: HfApi, repo_id: str, commit: str) -> dict[str, str]:
    entries = api.list_repo_tree(repo_id, recursive=True, revision=commit)
    return {entry.path: entry.blob_id for entry in entries if isinstance(entry, RepoFile) and entry.path not in _SHOWN}
