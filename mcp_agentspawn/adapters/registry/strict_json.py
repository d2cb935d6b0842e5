"""JSON as the RFC has it: UTF-8, no key twice, no numbers that are none."""

import json
from typing import Any


def parsed(body: bytes) -> Any:
    """The value of a JSON text. Raises `ValueError`, also for one that is nested too deep to be read.

    Half a character (a lone surrogate) is no error here, for it is none of the whole: JSON can say it in ASCII, too.
    """
    try:
        return json.loads(body.decode(errors="surrogatepass"), object_pairs_hook=_object, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("nested too deep") from None


def is_deeper(value: Any, most: int) -> bool:
    """Whether a value is nested deeper than so many levels."""
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return most == 0 or any(is_deeper(item, most - 1) for item in inner)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found


def _no_number(_: str) -> None:
    raise ValueError("NaN or Infinity")
