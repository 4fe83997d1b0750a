"""The root of Weir's one exception tree, and the errors that pure values can raise.

Errors of engines and environments extend it in `engines/errors.py`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class WeirError(Exception):
    """Something that Weir understands went wrong; the message says what, and the way out."""


class InvalidPipeline(WeirError):
    """A pipeline was put together in a way that has no meaning."""


class InvalidTimeline(WeirError):
    """A script cannot be played as it stands."""


class InvalidNotation(InvalidTimeline):
    """A string of the shorthand cannot be parsed; the message points at the character."""


class UnknownName(WeirError):
    """A name was asked for that nobody has registered."""


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """Return ' Did you mean ...?' for the closest known names, or the list of all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(wrong, names, n=3, cutoff=0.5)
    if close:
        return f" Did you mean {' or '.join(close)}?"
    return f" Known: {', '.join(names)}." if names else ""
