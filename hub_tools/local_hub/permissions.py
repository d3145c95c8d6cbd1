"""Who may see, download and change what.

A user's repositories belong to that user. Every other owner is an organisation: all users with a write token belong to
it, which is what a team on a closed network needs without a page to manage members.
"""

from .auth import User
from .errors import HubError
from .repository import Repo, RepoSettings
from .storage import Storage


class Permissions:
    """The rules of one server.

    Args:
        storage: Tells users from organisations.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def is_member(self, user: User | None, owner: str) -> bool:
        """Whether repositories of an owner are a user's to see.

        Args:
            user: Whom the request comes from.
            owner: The owner.

        Returns:
            True for the users themselves, and for everyone signed in when the owner is an organisation.
        """
        return user is not None and (user.name == owner or not self._storage.is_user(owner))

    def can_write(self, user: User | None, repo: Repo) -> bool:
        """Whether a user may change a repository.

        Args:
            user: Whom the request comes from.
            repo: The repository.

        Returns:
            True for members of its owner with a write token.
        """
        return user is not None and user.role == "write" and self.is_member(user, _owner(repo))

    def can_see(self, user: User | None, repo: Repo, settings: RepoSettings) -> bool:
        """Whether a user may know about a repository.

        Args:
            user: Whom the request comes from.
            repo: The repository.
            settings: Its settings.

        Returns:
            True when it is public or its owner's member asks.
        """
        return not settings.private or self.is_member(user, _owner(repo))

    def check_see(self, user: User | None, repo_id: str) -> Repo:
        """Gives a repository to a user who may know about it.

        Args:
            user: Whom the request comes from.
            repo_id: The id asked for; may come from outside unchecked.

        Returns:
            The repository.

        Raises:
            HubError: When there is none, or none that this user may know about: the answer is the same.
        """
        repo = self._storage.repo(repo_id)
        try:
            settings = repo.settings() if repo is not None else None
        except FileNotFoundError:
            # Deleted at this very moment.
            settings = None
        if repo is None or settings is None or not self.can_see(user, repo, settings):
            raise missing_repo(user, repo_id)
        if settings.disabled and not self.can_write(user, repo):
            # The client recognises a disabled repository by these words.
            raise HubError(403, "Access to this resource is disabled.")
        return repo

    def check_download(self, user: User | None, repo: Repo) -> None:
        """Checks that a user may have the files of a repository.

        Args:
            user: Whom the request comes from.
            repo: A repository that the user may see.

        Raises:
            HubError: When it is gated and the user was not let in.
        """
        settings = repo.settings()
        if not settings.gated or self.is_member(user, _owner(repo)):
            return
        if user is None:
            raise HubError(401, f"Access to model {repo.repo_id} is restricted. Sign in with a token", "GatedRepo")
        if settings.access.get(user.name, {}).get("status") != "accepted":
            raise HubError(
                403,
                f"Access to model {repo.repo_id} is restricted and you are not in the authorized list. Ask its owner",
                "GatedRepo",
            )

    def check_write(self, user: User | None, repo: Repo) -> User:
        """Checks that a user may change a repository.

        Args:
            user: Whom the request comes from.
            repo: The repository.

        Returns:
            The user.

        Raises:
            HubError: When the user may not.
        """
        user = check_write_token(user)
        if not self.can_write(user, repo):
            raise HubError(
                403, f"You don't have the rights to change {repo.repo_id}. Propose it as a pull request (create_pr)"
            )
        return user

    def check_owner(self, user: User | None, owner: str) -> User:
        """Checks that a user may create repositories of an owner.

        Args:
            user: Whom the request comes from.
            owner: The owner.

        Returns:
            The user.

        Raises:
            HubError: When the user may not.
        """
        user = check_write_token(user)
        if not self.is_member(user, owner):
            raise HubError(403, f'You don\'t have the rights to create a model under the namespace "{owner}"')
        return user


def check_write_token(user: User | None) -> User:
    """Checks that a request carries a token that may write.

    Args:
        user: Whom the request comes from.

    Returns:
        The user.

    Raises:
        HubError: When it has no token, or one that may only read.
    """
    if user is None:
        raise HubError(401, "Sign in with a token that may write, for example by setting HF_TOKEN")
    if user.role != "write":
        raise HubError(403, "This token may only read. Use one that may write")
    return user


def missing_repo(user: User | None, repo_id: str) -> HubError:
    """The error for a repository that does not exist, or not for this user.

    Args:
        user: Whom the request comes from.
        repo_id: The id asked for.

    Returns:
        The error to raise: like the Hub, 401 without a token and 404 with one.
    """
    if user is None:
        return HubError(401, f"Repository not found, or private: {repo_id}. Sign in to see more", "RepoNotFound")
    return HubError(404, f"Repository not found: {repo_id}", "RepoNotFound")


def _owner(repo: Repo) -> str:
    return repo.repo_id.partition("/")[0]
