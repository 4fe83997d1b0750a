"""Text of a run folder for pages and terminals: without control codes, and never too much of it."""

from __future__ import annotations

import unicodedata
from typing import Any

LONGEST = 200
"""Characters of a value: keys, rows, log lines of a run may be of any length."""
LONGEST_PROSE = 4000
"""Characters of anything else; a log's tail is the longest that we write ourselves."""
_BARRED = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Control codes, direction overrides, lone surrogates, unassigned codes: what hides or turns the text around it."""


def plain(text: str, longest: int = LONGEST) -> str:
    """Return the text on one line, control codes as escapes, cut with its length if it is longer than `longest`."""
    return _cut("".join(_escaped(char, kept="") for char in text[:longest]), len(text), longest)


def escaped(text: str) -> str:
    """Return the whole text, control codes as escapes. Line ends stay."""
    return "".join(_escaped(char, kept="\n") for char in text)


def safe(value: Any) -> Any:
    """Return what a template may print: line ends stay, control codes become escapes, the endless is cut.

    Markup made by a template itself and numbers pass through.
    """
    if type(value) is not str:
        return value
    return _cut("".join(_escaped(char, kept="\n") for char in value[:LONGEST_PROSE]), len(value), LONGEST_PROSE)


def _escaped(char: str, *, kept: str) -> str:
    if char in kept or unicodedata.category(char) not in _BARRED:
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _cut(text: str, length: int, longest: int) -> str:
    return text if length <= longest else f"{text}… ({length} characters)"
