"""Files of a run folder, which may come from somebody else: read plain files only, replace whole files, follow no link.

A link, a pipe or a device in a run folder is corrupt. A full disk is an error of its own.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from engines.errors import CorruptRun, DiskFull, EnvironmentNotReady

MOST_BYTES = 1 << 28
"""Of one file: more than ten times the largest history, and little enough to hold in memory."""
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""Disk full, quota used up, size limit of the process reached."""
_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG}

T = TypeVar("T")


def read(path: Path) -> bytes:
    """Return the content of a plain file. Raises `FileNotFoundError`, and `CorruptRun` if it cannot be read."""
    try:
        with open(path, "rb", opener=_open) as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise CorruptRun(f"{path} is no plain file.")
            if about.st_size > MOST_BYTES:
                raise CorruptRun(f"{path} has {about.st_size} bytes, more than the {MOST_BYTES} of any record.")
            return file.read()
    except OSError as error:
        if error.errno in _ABSENT:
            raise FileNotFoundError(error.errno, error.strerror, str(path)) from error
        why = "it is a link" if error.errno == errno.ELOOP else error.strerror
        raise CorruptRun(f"{path} cannot be read: {why}.") from error


def lines(path: Path) -> list[bytes]:
    """Return the lines of a plain file, without their ends; none if there is no such file. Raises `CorruptRun`."""
    try:
        return read(path).splitlines()
    except FileNotFoundError:
        return []


def decode(data: bytes, kind: type[T], where: str) -> T:
    """Decode JSON that somebody else may have written. Raises `CorruptRun` with `where`."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (ValueError, RecursionError) as error:
        raise CorruptRun(f"{where}: {error}.") from error


def replace(path: Path, data: bytes) -> None:
    """Write a whole file in place of what has its name, be that a link. Raises `DiskFull`, `EnvironmentNotReady`."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with writing(path):
            with draft.open("xb") as file:
                file.write(data)
            draft.replace(path)
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()


@contextlib.contextmanager
def writing(path: Path, way_out: str = "Remove what is in the way, or make it writable.") -> Iterator[None]:
    """Turn the errors of writing to `path` into `DiskFull` and `EnvironmentNotReady`."""
    try:
        yield
    except OSError as error:
        says = f"Cannot write to {path}: {error.strerror}."
        if error.errno in FULL:
            raise DiskFull(f"{says} Make room there.") from error
        raise EnvironmentNotReady(f"{says} {way_out}") from error


def _open(name: str, flags: int) -> int:
    """Open not through a link, and without waiting for a pipe's writer."""
    return os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
