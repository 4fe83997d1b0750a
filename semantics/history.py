"""What was observed while one expectation played on one engine: a flat list of events, journaled as they happen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from semantics.rows import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """The events of a step were appended: offsets [first, end) of one partition of one input."""

    step: int
    input: str
    partition: int
    first: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A row became visible to a read_committed reader before the step had settled."""

    step: int
    row: Row
    partition: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A step ended. `watermark_us` is an offset from T0, the lowest task's; counters are of this step alone."""

    step: int
    watermark_us: int | None
    late: int | None
    dead: int | None
    state: int | None
    dup: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Struck:
    """A fault was injected, and its effect verified from outside."""

    step: int
    point: str
    evidence: str
    killed: tuple[int, ...]
    reconstructed: bool = False
    hidden: bool = False
    """No reader of committed data saw anything of what was under way: so none of it can come again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restarted:
    """The engine runs again, in new processes."""

    step: int
    wiped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaled:
    """That many workers run from now on: some joined or left, or one was killed and does not come back."""

    step: int
    workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The engine itself refused the pipeline: before it read, or as it began to process."""

    error: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotRun:
    """Our adapter has no translation (`not-implemented`), or the engine lacks it (`unsupported`, cited)."""

    support: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Undecided:
    """The run could not be judged: the fault did not bite, the engine or broker died, a deadline passed."""

    step: int
    reason: str
    exception: str = ""
    """The exception that ended the engine, "class: message", if one did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen:
    """Rows that were not visible when the last step settled, but came out at the graceful stop."""

    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A dead letter: why it is one, and the record that it says it was."""

    reason: str
    record: str
    """input/partition@offset, as far as it tells."""
    step: int | None
    """In which that record was sent; None: nothing was sent there."""
    intact: bool
    """Whether it holds that record's value, byte by byte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetters:
    """What the dead-letter topic held after the graceful stop, read by a reader of our own."""

    letters: tuple[Letter, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """The deployment died: it played again, alone, and what came before is void."""

    reason: str
    exception: str = ""
    """The exception that ended this very job before; empty if a shared deployment died, perhaps not by this job."""


Entry: TypeAlias = (
    Sent | Seen | Settled | Struck | Restarted | Scaled | Refused | NotRun | Undecided | Unseen | DeadLetters | Again
)


@dataclass(frozen=True, slots=True)
class History:
    """The entries of one run, in order."""

    expectation: str
    engine: str
    entries: tuple[Entry, ...] = field(default=())
