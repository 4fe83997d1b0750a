"""Row keys: bytes whose order is the order of what they say, so that one range scan answers "which are due?".

A time is 8 bytes that sort like the signed integer. A group (the event's key, or null) is prefixed by its length, so
that no group is a prefix of another.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

import msgspec

NEVER = 1 << 63
"""A time after every event: nothing is due."""
BEFORE_ALL = -(1 << 63)
"""The watermark before any event."""
TIME = 8
"""Bytes of a time in a row key."""
NULL_GROUP = b"\x00"
_SIGN = 1 << 63
_pack = struct.Struct(">Q").pack
_encode: Callable[[str], bytes] = msgspec.json.Encoder().encode
"""Not `orjson.dumps`: a result of its that is kept holds a buffer of 4 kB."""
_REMEMBERED = 200_000


def time_key(time_us: int) -> bytes:
    """Return 8 bytes that sort like the time; times beyond 64 bits are cut to the first or last key."""
    try:
        return _pack(time_us + _SIGN)
    except struct.error:
        return _pack(min(max(time_us + _SIGN, 0), (1 << 64) - 1))


def key_time(data: bytes, at: int = 0) -> int:
    """Return the time that `time_key` wrote at that place."""
    return int.from_bytes(data[at : at + TIME], "big") - _SIGN


class Name(NamedTuple):
    """A key of events in its three encodings."""

    kafka: bytes | None
    json: bytes
    group: bytes


def name_of(key: str | None) -> Name:
    """Encode a key."""
    if key is None:
        return Name(None, b"null", NULL_GROUP)
    data = key.encode()
    return Name(data, _encode(key), b"\x01" + len(data).to_bytes(4, "big") + data)


def group_at(data: bytes, at: int = 0) -> bytes:
    """Return the group that begins at that place of a row key."""
    if data[at] == 0:
        return NULL_GROUP
    length = int.from_bytes(data[at + 1 : at + 5], "big")
    return data[at : at + 5 + length]


def key_of(group: bytes) -> str | None:
    """Return the key that a group encodes."""
    return None if group == NULL_GROUP else group[5:].decode()


class Names(dict[str | None, Name]):
    """The encodings of the keys met so far: encoding one costs more than the rest of a running count."""

    def __missing__(self, key: str | None) -> Name:
        if len(self) >= _REMEMBERED:
            self.clear()
        name = self[key] = name_of(key)
        return name
