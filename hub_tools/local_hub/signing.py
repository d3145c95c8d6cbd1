"""Signed URLs: what they allow needs no token, for a short while."""

import hashlib
import hmac
import time
from collections.abc import Mapping
from urllib.parse import urlencode

from .errors import HubError


class Signer:
    """Signs the query of a URL and checks it again.

    Args:
        secret: The key; the same for all servers on a root.
        lifetime_s: Seconds that a URL is valid.
    """

    def __init__(self, secret: bytes, lifetime_s: int) -> None:
        self._secret = secret
        self._lifetime_s = lifetime_s

    def query(self, action: str, fields: Mapping[str, str]) -> str:
        """Signs a query.

        Args:
            action: What the URL allows.
            fields: What it applies to.

        Returns:
            The query, without "?".
        """
        dated = {**fields, "expires": str(int(time.time()) + self._lifetime_s)}
        return urlencode({**dated, "signature": self._sign(action, dated)})

    def check(self, action: str, query: Mapping[str, str]) -> Mapping[str, str]:
        """Checks a query.

        Args:
            action: What the request wants to do.
            query: The parsed query of its URL.

        Returns:
            The fields that were signed.

        Raises:
            HubError: When it was not signed for this action, was changed, or is too old.
        """
        fields = {name: value for name, value in query.items() if name != "signature"}
        if not hmac.compare_digest(self._sign(action, fields).encode(), query.get("signature", "").encode()):
            raise HubError(403, "This URL is not valid")
        # Signed, so known to be a number.
        if int(fields["expires"]) < time.time():
            raise HubError(403, "This URL has expired: ask for a new one")
        return fields

    def _sign(self, action: str, fields: Mapping[str, str]) -> str:
        message = urlencode([("action", action), *sorted(fields.items())])
        return hmac.new(self._secret, message.encode(), hashlib.sha256).hexdigest()
