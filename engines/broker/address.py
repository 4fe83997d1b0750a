"""The one form of a broker's address. What is refused may hold a password, so no error repeats it."""

from __future__ import annotations

import re

WANTED = "HOST:PORT, such as 127.0.0.1:9092, several with commas between, without a user, password or path"


def is_address(text: str) -> bool:
    """Return whether the text is HOST:PORT,..., each port from 1 to 65535."""
    found = [re.fullmatch(r"[^\s:,@/]+:([0-9]{1,5})", part) for part in text.split(",")]
    return all(part is not None and 0 < int(part[1]) < 65536 for part in found)
