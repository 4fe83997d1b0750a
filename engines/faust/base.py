"""What lies under a table: rows as the store last saved them."""

# ruff: noqa: ARG002  (the signature is the protocol's)
from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

LAST = b"\xff" * 16
"""After every key."""
SAVED_EVERY_S = 10.0
"""What a killed worker has to read again of its changelog, at most, against the cost of writing what changes often."""
STALE_AFTER_S = 12 * 3600
"""Seconds since its last write after which a store is read anew from the changelog's beginning. After
`delete.retention.ms` (`topics.py`) the changelog drops tombstones, and a deleted row would stay."""


class Base(Protocol):
    """Saved rows, which change only when the store is saved."""

    def get(self, key: bytes) -> bytes | None: ...
    def scan(self, first: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the rows with first <= key < end, in order."""
        ...


class NoBase:
    """A base without rows: the table is a plain map in memory."""

    def get(self, key: bytes) -> bytes | None:
        return None

    def scan(self, first: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        return iter(())


class Part:
    """The rows of a base that begin with a prefix, without it."""

    def __init__(self, base: Base, prefix: bytes) -> None:
        self._base, self._prefix = base, prefix

    def get(self, key: bytes) -> bytes | None:
        return self._base.get(self._prefix + key)

    def scan(self, first: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        cut = len(self._prefix)
        for key, data in self._base.scan(self._prefix + first, self._prefix + end):
            yield key[cut:], data
