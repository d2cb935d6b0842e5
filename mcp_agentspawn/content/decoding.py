"""What an encoding hides, one level deep. Each decoding is linear, and none makes more of a text than it was given."""

import binascii
import re
from collections.abc import Sequence

import re2

from mcp_agentspawn.content.vicinity import around, members, runs

LEAST_RUN = 16
QUANTUM = 4
"""Characters of base64 that are whole bytes together."""
ENDS, FILLING = (None, -1, None, None), (b"", b"", b"AA", b"A")
"""What is done at the end of a run, by what it has beyond whole quanta."""
PAIRS = re2.compile(rb"(?:(?:0x)?[0-9a-fA-F]{2}[ ,:;-]{1,2}){7}")
ESCAPED = re2.compile(rb"(?:[%=]|\\x|\\u00)[0-9a-fA-F]{2}|&#[0-9xX]|&[A-Za-z]{2,7};")
PAIR = re.compile(rb"(?:0x|\b)([0-9a-fA-F]{2})\b")
ENTITY = re.compile("&(#[xX][0-9a-fA-F]{1,6}|#[0-9]{1,7}|lt|gt|quot|apos|nbsp|NewLine|colon|sol|period|commat|amp);?")
NAMED = {
    "lt": "<",
    "gt": ">",
    "quot": '"',
    "apos": "'",
    "nbsp": " ",
    "NewLine": "\n",
    "colon": ":",
    "sol": "/",
    "period": ".",
    "commat": "@",
    "amp": "&",
}
LAST_POINT = 0x10FFFF
OF_BASE64 = members(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_")
OF_HEXADECIMAL = members(b"0123456789abcdefABCDEF")
STANDARD = bytes.maketrans(b"-_", b"+/")
TEXT = re2.compile(rb"[\t\n -~]{12}")
TEXTS = re.compile(rb"[\t\n -~]{12,}")


def decoded(text: str) -> str:
    """Everything that the encodings in a text hide, one behind the other; nothing but space when there are none."""
    data = text.encode()
    return "\n".join((base64(data), hexadecimal(data), escapes(data)))


def base64(data: bytes) -> str:
    """What stands in runs of base64 or base64url; tried at all four places where a run may begin.

    No words have a base64 without capitals, and long words of some languages begin with one.
    """
    found = [run.translate(STANDARD) for run in runs(OF_BASE64, LEAST_RUN, data) if not run[1:].islower()]
    return "\n".join(_readable(binascii.a2b_base64(_joined(found, start))) for start in range(QUANTUM))


def _joined(found: Sequence[bytes], start: int) -> bytes:
    """The runs from there on, each as whole quanta: one character too many goes, and one or two too few are added."""
    rests = [(len(run) - start) % QUANTUM for run in found]
    return b"".join([run[start : ENDS[rest]] + FILLING[rest] for run, rest in zip(found, rests, strict=True)])


def hexadecimal(data: bytes) -> str:
    """What stands in long runs of hexadecimal, and in pairs of its digits."""
    long = b"".join(run[: len(run) // 2 * 2] for run in runs(OF_HEXADECIMAL, LEAST_RUN, data))
    pairs = b"".join(PAIR.findall(around(PAIRS, data)))
    return "\n".join(_readable(binascii.a2b_hex(digits)) for digits in (long, pairs))


def _readable(data: bytes) -> str:
    """What is text of it. A wrong beginning, a picture or a key decode to bytes in which next to nothing is."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return b"\n".join(TEXTS.findall(data)).decode() if TEXT.search(data) else ""


def escapes(data: bytes) -> str:
    r"""What stands around `%69`, `=69`, `\\x69`, `\\u0069` and entities of HTML, with these read."""
    parts = ENTITY.split(around(ESCAPED, data).decode(errors="replace"))
    parts[1::2] = map(_Characters(NAMED).__getitem__, parts[1::2])
    marked = "".join(parts).encode(errors="replace")
    for sign in (b"%", b"\\x", b"\\u00"):
        marked = marked.replace(b"=" + sign, b"=3D" + sign).replace(sign, b"=")
    return binascii.a2b_qp(marked).decode(errors="replace")


class _Characters(dict[str, str]):
    """Name or number of an entity to its character."""

    def __missing__(self, name: str) -> str:
        point = int(f"0{name[1:]}", 0) if name[1] in "xX" else int(name[1:])
        self[name] = chr(point) if point <= LAST_POINT else ""
        return self[name]
