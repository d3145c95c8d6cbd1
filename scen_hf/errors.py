"""Errors a user can act on. Every message names what is wrong, where, and what to do."""

from .modeling.edit_pack_scen_llama import EditPackError, WrongBaseError


class EditError(ValueError):
    """An edit, or a file of edits, cannot be used. The message names the place and what to change."""


class BaseModelError(ValueError):
    """A base model cannot be loaded or edited."""


__all__ = ["BaseModelError", "EditError", "EditPackError", "WrongBaseError"]
