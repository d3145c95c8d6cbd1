"""JSON from outside: parsed, and refused when it cannot be stored or sent back."""

import json
from typing import Any

from .errors import bad_request


def parse_json(data: bytes) -> Any:
    """Parses JSON.

    Args:
        data: The text, in UTF-8.

    Returns:
        The value; its strings can be encoded in UTF-8 and its numbers are finite.

    Raises:
        HubError: When it is not such JSON.
    """
    try:
        value = json.loads(data, parse_constant=_refuse_constant)
        if b"\\u" in data:
            # An escaped half of a surrogate pair parses, and then fails wherever the text is used.
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise bad_request("The body is not valid JSON") from error
    return value


def text_field(body: dict[str, Any], name: str, *, longest: int, default: str | None = None) -> str:
    """Reads a text from a request.

    Args:
        body: The parsed request.
        name: The field.
        longest: The largest number of characters accepted.
        default: What a missing field stands for; without one the field is required.

    Returns:
        The text.

    Raises:
        HubError: When the field is missing, not a text or too long.
    """
    value = body.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise bad_request(f"'{name}' must be a string")
    if len(value) > longest:
        raise bad_request(f"'{name}' is longer than {longest} characters")
    return value


def _refuse_constant(name: str) -> float:
    raise ValueError(name)
