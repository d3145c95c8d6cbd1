"""Tools around edit packs on the Hub: sharing them, and a Hub of one's own to share them on."""

from .sharing import HubError, PushReport, pull_pack, push_pack


__all__ = ["HubError", "PushReport", "pull_pack", "push_pack"]
