"""The errors of running engines; the tree's root is `semantics.errors.WeirError`. Each says the way out."""

from __future__ import annotations

from semantics.errors import WeirError


class EnvironmentNotReady(WeirError):
    """Something that Weir needs is missing on this machine; the message holds the command that fixes it."""


class DiskFull(WeirError):
    """A file cannot be written: disk full, quota used up, size limit reached. The message names the file."""


class UnsupportedPipeline(WeirError):
    """The engine itself refused a pipeline before reading. `error` is its own class of error."""

    def __init__(self, error: str, message: str) -> None:
        super().__init__(f"{error}: {message}")
        self.error = error
        self.message = message


class EngineFailed(WeirError):
    """An engine's process failed or died; the message ends with the last lines of its log.

    `exception`: the exception that ended it, "class: message", empty if it named none.
    """

    def __init__(self, message: str, exception: str = "") -> None:
        super().__init__(message)
        self.exception = exception


class BrokerUnavailable(WeirError):
    """The broker does not answer, or stopped answering."""


class BrokerRefused(WeirError):
    """The broker answered, and the answer is no: a topic that exists already, a missing right, a record too large."""


class Deadline(WeirError):
    """Something awaited did not happen in time; the message says what, and the last value seen."""


class CorruptRun(WeirError):
    """A run folder cannot be read back."""
