"""Tools around edit packs on the Hub: sharing them, and a Hub of one's own to share them on."""

from .review_report import ReviewReport
from .reviewing import review_proposal
from .sharing import HubError, PushReport, pull_pack, push_pack
from .verification import VerificationReport, verify_pack
from .versions import (
    RevertReport,
    Version,
    Yank,
    YankedVersionWarning,
    YankReport,
    diff_packs,
    pack_log,
    revert_pack,
    unyank_version,
    yank_notice,
    yank_version,
)


__all__ = [
    "HubError",
    "PushReport",
    "RevertReport",
    "ReviewReport",
    "VerificationReport",
    "Version",
    "Yank",
    "YankReport",
    "YankedVersionWarning",
    "diff_packs",
    "pack_log",
    "pull_pack",
    "push_pack",
    "revert_pack",
    "review_proposal",
    "unyank_version",
    "verify_pack",
    "yank_notice",
    "yank_version",
]
