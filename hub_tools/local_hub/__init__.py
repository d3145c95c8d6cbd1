"""A local Hugging Face Hub: model repositories for the official client, on one's own machine or closed network.

`scen hub serve --root DIR` runs it as a server, `LocalHub` inside a Python process. It serves the part of the Hub's
HTTP protocol that `huggingface_hub` and the `hf` command use for models: repositories, branches, tags, commits, LFS
uploads, downloads, pull requests, tokens, private and gated repositories. It is for development, tests and closed
networks: there are no accounts and no encryption. Clients set `HF_ENDPOINT` to its address and `HF_HUB_DISABLE_XET=1`,
because uploads travel by Git LFS and not by Xet. It runs where POSIX file locks do: Linux and macOS.
"""

from .auth import Token
from .errors import LocalHubError
from .faults import Fault, FaultPlan
from .limits import HubLimits
from .server import LocalHub, serve


__all__ = ["Fault", "FaultPlan", "HubLimits", "LocalHub", "LocalHubError", "Token", "serve"]
