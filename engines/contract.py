"""The only seam between the harness and an engine. All others import this; it imports no engine.

An `Engine` deploys many `Job`s at once as one `Deployment`: real processes that read from and write to a `Log`
(Kafka for all engines but `reference`, which also runs on an in-memory one). Records on the log are those of
`engines/wire.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from semantics.pipeline import Pipeline
from semantics.rules import Rules
from semantics.timeline import Crash, CrashPoint, Scale, Timeline, partitions

Place = tuple[str, int]
"""A topic and a partition."""


@dataclass(frozen=True, slots=True)
class Message:
    """A record on the log. `timestamp_ms` None: the broker's clock."""

    key: bytes | None
    value: bytes | None
    timestamp_ms: int | None = None
    offset: int = -1
    """Set on what was read."""
    headers: tuple[tuple[str, bytes], ...] = ()


class Log(Protocol):
    """Topics that keep what was appended. Methods block; errors: `BrokerUnavailable`, `Deadline`."""

    @property
    def bootstrap(self) -> str:
        """Return HOST:PORT of the broker; empty for the in-memory log."""
        ...

    def create(
        self,
        topics: Mapping[str, int],
        *,
        compact: bool = False,
        settings: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        """Create topics with that many partitions each; an existing one is an error. They go with the log's `close`.

        `settings`: broker settings, per topic that needs any.
        """
        ...

    def append(self, batches: Mapping[Place, Sequence[Message]]) -> Mapping[Place, int]:
        """Append each partition's messages as one whole batch; return the offset after its last one."""
        ...

    def ends(self, places: Sequence[Place], *, committed: bool = True) -> Mapping[Place, int]:
        """Return each partition's end: the last stable offset, or the high watermark if not `committed`."""
        ...

    def read(
        self, ranges: Mapping[Place, tuple[int, int]], *, committed: bool = True
    ) -> Mapping[Place, Sequence[Message]]:
        """Return the messages with first <= offset < end of each partition, waiting until the log has come so far."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """One pipeline with its topics. `name` is unique in the deployment, and safe in topics and file names."""

    name: str
    pipeline: Pipeline
    inputs: Mapping[str, str]
    """Input name -> topic."""
    output: str
    dead_letters: str
    partitions: int = 1
    """Of every input topic; output and dead letters have as many."""


class Profile(Enum):
    """What a deployment is tuned for. Declared semantics are the same in both."""

    SUITE = "suite"
    """Many small jobs: quick start, small memory."""
    BENCH = "bench"
    """One job under load: the engine's own defaults for JIT, codegen, commit intervals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to deploy."""

    variant: str = ""
    profile: Profile = Profile.SUITE
    workers: int = 1
    elastic: bool = False
    """Whether `scale` will be called: an engine whose workers cannot come and go by themselves may prepare for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDirs:
    """Where a deployment may write. `logs` stays with the run; `durable` and `state` go at its end."""

    logs: Path
    durable: Path
    """Survives `wipe_state`: checkpoints."""
    state: Path
    """Local state: lost when a machine is lost."""


class Support(Enum):
    """How an engine stands to a pipeline, before it is run."""

    NATIVE = "native"
    RECIPE = "recipe"
    """Runs, with code of ours in the engine's own extension points."""
    NOT_IMPLEMENTED = "not-implemented"
    """Our adapter has no translation yet: our debt."""
    UNSUPPORTED = "unsupported"
    """The engine's design lacks it; the reason cites a source."""


@dataclass(frozen=True, slots=True)
class Capability:
    """The answer to "can you run this?"."""

    support: Support
    reason: str = ""
    error: str = ""
    """With UNSUPPORTED: the class of error with which the engine itself refuses, so that it is asked."""
    at_start: bool = True
    """With an error: whether all that is deployed with it is refused too; else it alone, as it begins to process."""


def survives(_pipeline: Pipeline, _partitions: int) -> Capability:
    """Say that what comes out of any pipeline after a kill follows from the rules."""
    return Capability(Support.NATIVE)


_NOTHING_TO_SEE = Capability(
    Support.UNSUPPORTED,
    "By its rules nothing comes out in the step in which the process is to die, and only what has come out shows that "
    "it has come so far.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """One rule that the engine decides otherwise than the contract, and where that is written (not: our own runs)."""

    rule: str
    source: str
    remedy: str = ""
    """The setting or recipe that brings the contract back, or lessens the harm; empty: none is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """A defect that rules cannot express. Strict: if it stops happening, the declaration is stale."""

    expectation: str
    versions: str
    cause: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """Declaration of an engine (variant), on its behalf. Each rule unlike the contract has its `Override`."""

    engine: str
    title: str
    """How reports name it: "Faust (Weir runtime)"."""
    versions: Mapping[str, str]
    rules: Rules
    overrides: tuple[Override, ...] = ()
    deviations: tuple[Deviation, ...] = ()
    capability: Callable[[Pipeline, int], Capability]
    """(pipeline, partitions) -> how it would be run."""
    crash_points: frozenset[CrashPoint] = frozenset(CrashPoint)
    """Where its processes can be made to stand still and be killed."""
    no_crash_because: str = ""
    """Why not at the others."""
    told_by_output: frozenset[CrashPoint] = frozenset()
    """Of these points, those that only output shows: where a step brings nothing out, nobody sees them."""
    survival: Callable[[Pipeline, int], Capability] = survives
    """(pipeline, partitions) -> whether anything is promised of it after a kill."""
    scaling: Capability = Capability(Support.NATIVE)
    """Whether workers can join and leave."""
    takeover: Capability = Capability(Support.NATIVE)
    """Whether others take over from one that dies, and stays away."""
    together: int = 40
    """Jobs of the catalogue in one deployment. Above that nothing is gained, and one that dies costs more; a step of
    all of them must settle in the player's time."""
    warmup_s: float = 30.0
    """Seconds that a benchmark leaves out at the start, unless told otherwise. An engine that compiles nothing needs
    them too: the broker is a JVM, and in its first ten seconds an event costs it twice as much."""
    warmup_because: str = ""
    """Why it needs longer than others."""
    bug: str = ""
    """What was planted in this variant: a negative control, which the catalogue must catch."""
    caught_by: tuple[str, ...] = ()
    """By which expectations, where only a broker and a kill can tell; a test of the engine plays them."""

    def can(self, pipeline: Pipeline, timeline: Timeline) -> Capability:
        """Say how a script on a pipeline would be run: what it harms has to be possible too."""
        if {step.point for step in timeline if isinstance(step, Crash)} - self.crash_points:
            return Capability(Support.UNSUPPORTED, self.no_crash_because)
        if any(isinstance(step, Scale) for step in timeline) and self.scaling.support is not Support.NATIVE:
            return self.scaling
        dies = any(isinstance(step, Crash) and step.takeover for step in timeline)
        if dies and self.takeover.support is not Support.NATIVE:
            return self.takeover
        promised = self.survival(pipeline, partitions(timeline))
        if any(isinstance(step, Crash) for step in timeline) and promised.support is not Support.NATIVE:
            return promised
        capability = self.capability(pipeline, partitions(timeline))
        runs = capability.support in (Support.NATIVE, Support.RECIPE)
        return _NOTHING_TO_SEE if runs and self._dies_unseen(pipeline, timeline) else capability

    def _dies_unseen(self, pipeline: Pipeline, timeline: Timeline) -> bool:
        """Return whether a process is to die at a point that only output shows, in a step that has none."""
        unseen = [
            number + 1
            for number, step in enumerate(timeline)
            if isinstance(step, Crash) and step.point in self.told_by_output
        ]
        if not unseen:
            return False
        from semantics.oracle import predict  # Here, because workers know the contract, and nothing of the oracle.

        predictions = predict(pipeline, timeline, self.rules)
        return any(not any(prediction[number].rows for prediction in predictions) for number in unseen)

    def __post_init__(self) -> None:
        declared, cited = set(self.rules.overridden()), {override.rule for override in self.overrides}
        if declared != cited:
            raise ValueError(f"{self.engine}: rules without a source, or sources without a rule: {declared ^ cited}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a job stands. Counters count since the previous settle; None: the engine does not tell."""

    watermark_us: int | None = None
    """Microseconds since 1970, the lowest task's; None if any task has none."""
    late: int | None = None
    duplicates: int | None = None
    """What a dedup held back."""
    dead: int | None = None
    state_rows: int | None = None
    """A row a (key, window), session, or buffered join row, matched ones included; the sentinel's own too."""


class Status(Enum):
    """How a settle ended for one job."""

    SETTLED = "settled"
    DEADLINE = "deadline"
    FAILED = "failed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A job's answer to `settle`. `ends`: the offset after its last committed record, for each output partition."""

    status: Status
    ends: Mapping[Place, int] = field(default_factory=dict)
    progress: Progress = field(default_factory=Progress)
    detail: str = ""
    """What went wrong, with the last lines of the log, unless settled."""
    error: str = ""
    """Refused: the class of the engine's error. Failed: the exception that ended the job, "class: message"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSize:
    """How big a job's state is, now."""

    rows: int | None
    """Logical rows."""
    live_bytes: int | None
    """Keys and values of the live rows, uncompressed, in each engine's own encoding: not comparable between engines."""
    disk_bytes: int | None
    """Files of the local store, as they lie."""
    restore_bytes: int | None
    """Bytes that a worker which lost its disk must read. Spark: the checkpoint's files as they lie, newest snapshot
    and the changelogs after it. Faust: keys and values of every record ever written to the changelog, which is an upper
    bound, since the broker compacts it; without record headers, batches and compression."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """A process stands still exactly at the armed crash point. `evidence` says how that was seen from outside."""

    evidence: str
    reconstructed: bool = False
    """The point was not hit live: `restart` must rebuild it on disk (the engine does so by itself)."""
    hidden: bool = False
    """No reader of committed data sees anything of it yet: so none of it can come again."""
    who: Sequence[ProcessHandle] = ()
    """Who stands there, where workers can be told apart; empty: all of them."""


class ProcessHandle(Protocol):
    """A process that we started, told by pid and start time."""

    @property
    def pid(self) -> int: ...
    @property
    def role(self) -> str: ...
    def alive(self) -> bool: ...
    def cpu_seconds(self) -> float:
        """Return user + system CPU seconds of its whole group so far."""
        ...

    def resident_bytes(self) -> int:
        """Return the resident memory of its whole group now."""
        ...

    def kill(self) -> None:
        """SIGKILL its whole group, and wait until it is gone."""
        ...


class Deployment(Protocol):
    """Running jobs. An async context manager: leaving it stops gracefully, and leaves no process behind."""

    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def settle(self, ends: Mapping[str, Mapping[Place, int]], *, within: timedelta) -> Mapping[str, Settled]:
        """Wait until every named job has consumed its inputs up to `ends`, moved time, emitted and committed.

        It rests on committed positions, never on quiet time. One bad job does not raise; its status says so. Raises
        `EngineFailed` if the whole deployment is dead or stopped.
        """
        ...

    async def state(self, job: str) -> StateSize: ...

    async def arm(self, point: CrashPoint) -> None:
        """Make the next processing stand still at `point`. Raises `UnsupportedPipeline` if it cannot."""
        ...

    async def reached(self, *, within: timedelta) -> Reached:
        """Wait until the armed point is reached and everyone there stands still. Raises `Deadline`."""
        ...

    def processes(self) -> Sequence[ProcessHandle]:
        """Return what the nemesis may harm: those that hold the state."""
        ...

    async def stop(self) -> None:
        """Stop gracefully: finish what is open, commit, exit. Nothing if already stopped or killed by handle.

        Raises `EngineFailed` if a process did not end by itself, or said that something went wrong.
        """
        ...

    async def restart(self, *, wipe_state: bool = False) -> None:
        """Start again on the same topics and durable state, in new processes; stops gracefully first if running."""
        ...

    async def pass_time(self, duration: timedelta) -> None:
        """Let so much processing time pass. An engine that lives by the clock on the wall just waits."""
        ...

    async def scale(self, workers: int) -> None:
        """Have that many workers: new ones join, or the last ones leave gracefully; those killed do not come back.

        Disarms. Returns when processes have started or ended; `settle` waits until their work has new owners. Raises
        `UnsupportedPipeline` if this engine cannot.
        """
        ...


class Engine(Protocol):
    """One engine. `name` is the folder and the command line's word."""

    name: str
    variants: Mapping[str, str]
    """Variant -> one line about it; "" is the default."""
    needs_broker: bool
    """Whether it runs on Kafka only; else the in-memory log of `engines/memory.py` does too."""

    def missing(self) -> str:
        """Return why it cannot run here and the command that mends it; empty if it can. Imports nothing heavy."""
        ...

    def declaration(self, variant: str = "") -> Declaration: ...

    async def deploy(self, jobs: Sequence[Job], *, log: Log, dirs: RunDirs, settings: Settings) -> Deployment:
        """Start all jobs, ready to read from the beginning of their inputs.

        Raises `UnsupportedPipeline` if the engine itself refuses one (deploy that one alone to know), `EngineFailed`.
        """
        ...
