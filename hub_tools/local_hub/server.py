"""Running a local Hub: in a thread of this process, or as a server of its own."""

import contextlib
import ipaddress
import logging
import os
import socket
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from .app import Hub, create_app
from .auth import Token, TokenList, new_token, parse_token
from .errors import LocalHubError
from .faults import FaultPlan
from .limits import HubLimits
from .permissions import Permissions
from .signing import Signer
from .storage import Storage


DEFAULT_PORT = 8686

_LOGGER = logging.getLogger("scen_hf.local_hub")
_KEEP_ALIVE_S = 75
_SHUTDOWN_S = 3
_BACKLOG = 128


class _QuietProtocol(H11Protocol):
    """HTTP without uvicorn's own log of requests, which shows queries, and with them the signatures of URLs.

    Uvicorn's setting for this would silence every other uvicorn server in the process as well.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.access_log = False


class LocalHub:
    """A Hugging Face Hub for models, on this machine.

    It is meant for development, tests and closed networks: it has no accounts, no encryption of its own, and serves
    what the official client needs for model repositories. Uploads travel by Git LFS, so the client needs
    `HF_HUB_DISABLE_XET=1` in its environment when `hf_xet` is installed.

    ```python
    >>> from huggingface_hub import HfApi
    >>> from scen_hf.hub_tools.local_hub import LocalHub

    >>> with LocalHub("hub", tokens=["ann:write:a-secret-of-ann"]) as hub:
    ...     api = HfApi(endpoint=hub.endpoint, token=hub.token)
    ...     api.create_repo("ann/pack")
    ```

    Args:
        root: The folder that holds everything; made if missing. Several servers may share it.
        tokens: The tokens to accept, as `Token` or as `NAME:read|write:TOKEN`. Without any, one that may write is made
            for the user `local`.
        host: The address to listen at.
        port: The port to listen at; 0 takes a free one.
        faults: Faults to let happen, for tests; they can then be planned over HTTP, too.
        limits: Thresholds and limits.

    Raises:
        LocalHubError: When a token is not valid.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        tokens: Sequence[Token | str] = (),
        host: str = "127.0.0.1",
        port: int = 0,
        faults: FaultPlan | None = None,
        limits: HubLimits | None = None,
    ) -> None:
        self.root = Path(root)
        self._tokens = [parse_token(token) if isinstance(token, str) else token for token in tokens] or [new_token()]
        self._token_list = TokenList(self._tokens)
        self._host = host
        self._port = port
        self._limits = limits or HubLimits()
        self.faults = faults
        self._storage: Storage | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def endpoint(self) -> str:
        """The address for `HF_ENDPOINT`. The port is known once the server was started."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    @property
    def token(self) -> str:
        """The first token that may write, or the first of all."""
        return next((token for token in self._tokens if token.role == "write"), self._tokens[0]).value

    def start(self) -> Self:
        """Starts the server in a thread. After `stop`, it starts again at the same port.

        Returns:
            This hub, serving.

        Raises:
            LocalHubError: When the folder or the address cannot be used.
        """
        if self._thread is not None:
            raise LocalHubError("the server is running already")
        server, listener = self._prepare()
        self._thread = threading.Thread(target=server.run, args=([listener],), name="local-hub", daemon=True)
        self._thread.start()
        while not server.started and self._thread.is_alive():
            self._thread.join(0.01)
        return self

    def stop(self) -> None:
        """Stops the server; requests under way are given a moment to end."""
        if self._thread is None or self._server is None:
            return
        self._server.should_exit = True
        self._thread.join()
        self._thread = None
        self._close()

    def run(self) -> None:
        """Serves until the process is asked to end (SIGINT or SIGTERM).

        Raises:
            LocalHubError: When the folder or the address cannot be used.
        """
        server, listener = self._prepare()
        print(f"Local Hub for development and closed networks: {self.endpoint}", flush=True)
        print(f"Clients: export HF_ENDPOINT={self.endpoint} HF_HUB_DISABLE_XET=1", flush=True)
        try:
            # Uvicorn ends cleanly on Ctrl-C and then raises what was asked for again.
            with contextlib.suppress(KeyboardInterrupt):
                server.run([listener])
        finally:
            self._close()

    def __enter__(self) -> Self:
        """Starts the server."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops the server."""
        self.stop()

    def _prepare(self) -> tuple[uvicorn.Server, socket.socket]:
        self._storage = Storage(self.root, self._limits)
        try:
            listener = _listen(self._host, self._port)
        except LocalHubError:
            self._close()
            raise
        self._port = listener.getsockname()[1]
        if not _is_loopback(self._host):
            _LOGGER.warning(
                "Listening at %s, beyond this machine: tokens and files travel unencrypted. Do this on a closed "
                "network only, or behind a proxy with TLS",
                self._host,
            )
        self._storage.remember_users(self._token_list.names)
        hub = Hub(
            storage=self._storage,
            tokens=self._token_list,
            permissions=Permissions(self._storage),
            signer=Signer(self._storage.secret, self._limits.url_lifetime_s),
            limits=self._limits,
            faults=self.faults,
        )
        config = uvicorn.Config(
            create_app(hub),
            http=_QuietProtocol,
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_SHUTDOWN_S,
        )
        self._server = uvicorn.Server(config)
        return self._server, listener

    def _close(self) -> None:
        if self._storage is not None:
            self._storage.close()
            self._storage = None


def serve(
    root: str | os.PathLike[str],
    *,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    tokens: Sequence[Token | str] = (),
    faults: bool = False,
) -> None:
    """Serves a local Hub until the process is asked to end.

    It is meant for development, tests and closed networks. Prints its address and, when no tokens are given, the one
    it made: once, and nowhere else.

    Args:
        root: The folder that holds everything; made if missing.
        host: The address to listen at. Beyond this machine, everything travels unencrypted.
        port: The port to listen at; 0 takes a free one.
        tokens: The tokens to accept, as `Token` or as `NAME:read|write:TOKEN`.
        faults: Whether faults can be planned over HTTP, for tests.

    Raises:
        LocalHubError: When a token, the folder or the address cannot be used.
    """
    hub = LocalHub(root, tokens=tokens, host=host, port=port, faults=FaultPlan() if faults else None)
    if not tokens:
        print(f"Token of the user 'local' (shown once): {hub.token}", flush=True)
    hub.run()


def _listen(host: str, port: int) -> socket.socket:
    try:
        # With the protocol named, asyncio turns off Nagle's algorithm, which costs 40 ms per answer.
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        raise LocalHubError(f"cannot listen at {host}, port {port}: {error}") from error
    return listener


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
