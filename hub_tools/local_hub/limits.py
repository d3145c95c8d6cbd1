"""Sizes and times that a local Hub holds requests to."""

from dataclasses import dataclass


_MIB = 2**20


@dataclass(frozen=True)
class HubLimits:
    """Thresholds and limits of a local Hub. The defaults suit a real one; tests make them small.

    Args:
        regular_max_bytes: Files up to this size travel inside the commit, larger ones through LFS.
        part_bytes: LFS files above this size are uploaded in parts of this size.
        file_max_bytes: The largest file taken.
        commit_max_bytes: The largest body of a commit request.
        json_max_bytes: The largest body of any other request.
        page_size: Entries per page of a listing.
        url_lifetime_s: Seconds that a signed upload or download URL stays valid.
    """

    regular_max_bytes: int = 10 * _MIB
    part_bytes: int = 64 * _MIB
    file_max_bytes: int = 50 * 1024 * _MIB
    commit_max_bytes: int = 1024 * _MIB
    json_max_bytes: int = 32 * _MIB
    page_size: int = 1000
    url_lifetime_s: int = 3600
