"""Tokens: who a request comes from."""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, cast

from .errors import HubError, LocalHubError
from .names import is_owner


Role = Literal["read", "write"]

_DEFAULT_USER = "local"


@dataclass(frozen=True)
class Token:
    """A token that a server accepts.

    Args:
        user: The user it stands for.
        role: Whether it may write.
        value: The secret.
    """

    user: str
    role: Role
    value: str = field(repr=False)


@dataclass(frozen=True)
class User:
    """Whom a request comes from, and what its token may do.

    Args:
        name: The user.
        role: The role of the token.
    """

    name: str
    role: Role


def parse_token(text: str) -> Token:
    """Reads a token as it is given on the command line.

    Args:
        text: `NAME:read:TOKEN` or `NAME:write:TOKEN`.

    Returns:
        The token.

    Raises:
        LocalHubError: When it is not of this form. The message does not repeat the secret.
    """
    user, _, rest = text.partition(":")
    role, _, value = rest.partition(":")
    if not is_owner(user) or role not in ("read", "write"):
        raise LocalHubError("a token is given as NAME:read:TOKEN or NAME:write:TOKEN, with a valid user name")
    if not value.isascii() or not value.isprintable() or " " in value or len(value) < 8:
        raise LocalHubError(f"the token of '{user}' must have at least 8 printable ASCII characters and no spaces")
    return Token(user, cast(Role, role), value)


def new_token() -> Token:
    """Makes a token that may write, for the user `local`.

    Returns:
        The token.
    """
    return Token(_DEFAULT_USER, "write", f"hf_local_{secrets.token_urlsafe(24)}")


class TokenList:
    """The tokens that a server accepts.

    Args:
        tokens: The tokens.

    Raises:
        LocalHubError: When two of them have the same value.
    """

    def __init__(self, tokens: Iterable[Token]) -> None:
        tokens = list(tokens)
        # Compared as hashes: equal in length, so that the time of a comparison tells nothing.
        self._users = [(_digest(token.value), User(token.user, token.role)) for token in tokens]
        if len({digest for digest, _ in self._users}) < len(tokens):
            raise LocalHubError("two tokens have the same value")
        self.names = sorted({token.user for token in tokens})

    def user_of(self, authorization: str | None) -> User | None:
        """Finds out whom a request comes from.

        Args:
            authorization: Its `Authorization` header.

        Returns:
            The user, or None for a request without that header.

        Raises:
            HubError: When the token is not one of these.
        """
        if authorization is None:
            return None
        scheme, _, value = authorization.partition(" ")
        digest = _digest(value.strip())
        # All are compared, always: stopping at the right one would show its place in the list.
        matches = [user for known, user in self._users if hmac.compare_digest(known, digest)]
        if scheme.lower() != "bearer" or not matches:
            # The client tells a wrong token from a missing repository by these words.
            raise HubError(401, "Invalid credentials in Authorization header")
        return matches[0]


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.encode(errors="surrogateescape")).digest()
