"""The planted bugs' code: each is a task, a writer or a reader that breaks the protocol in one place.

Chosen when a worker starts (`Plan.bug`), so that the sound engine has no trace of them. All use the one transactional
producer that the sound engine has: what it commits in one transaction, they commit in two.

The nemesis kills only where the log shows the crash point. A writer that has made something visible too early
therefore tells of what is still open, as an engine with such a bug would believe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition

from engines.faust.changelog import TASK, Reader
from engines.faust.driver import Chunk
from engines.faust.plan import StagePlan
from engines.faust.store import Store
from engines.faust.task import Task
from engines.faust.writer import Outbox, Transactions
from semantics.timeline import CrashPoint


class _CutWriter(Transactions):
    """A writer that can commit a part on its own."""

    def __init__(self, bootstrap: str, transactional_id: str, group: str, stage: StagePlan) -> None:
        super().__init__(bootstrap, transactional_id, group)
        self._stage = stage

    def _says(self, outbox: Outbox) -> bool:
        """Return whether it carries what readers see, and not the changelog."""
        return outbox.topic != self._stage.changelog

    async def _alone(self, outbox: Outbox, batches: Iterable[Any]) -> None:
        """Commit batches, and whatever is open, without positions; `acknowledged` does not tell of them."""
        await Transactions.send(self, outbox, batches)
        await self.acknowledged()
        await self._producer.commit_transaction()
        self._open = False


class EmitBeforeCommit(_CutWriter):
    """Commits all output as it is sent; state and positions follow."""

    async def send(self, outbox: Outbox, batches: Iterable[Any]) -> None:
        if not self._says(outbox):
            await super().send(outbox, batches)
        elif ready := list(batches):
            await self._alone(outbox, ready)


class _Eager(Outbox):
    """An outbox that knows whether what was taken from it is all that there is."""

    @property
    def more(self) -> bool:
        return bool(self._full)


class PartialBatch(_CutWriter):
    """Commits every batch of output but the last as it is sent."""

    def outbox(self, topic: str, partition: int) -> Outbox:
        return _Eager(self._producer, topic, partition)

    async def send(self, outbox: Outbox, batches: Iterable[Any]) -> None:
        rest = list(batches)
        assert isinstance(outbox, _Eager)
        while self._says(outbox) and (len(rest) > 1 or (rest and outbox.more)):
            await self._alone(outbox, [rest.pop(0)])
        await super().send(outbox, rest)


class _HoldingWriter(_CutWriter):
    """A writer that leaves something out of the transaction until `let_go`."""

    def __init__(self, bootstrap: str, transactional_id: str, group: str, stage: StagePlan) -> None:
        super().__init__(bootstrap, transactional_id, group, stage)
        self._held: list[tuple[Outbox, list[Any]]] = []

    async def let_go(self) -> None:
        """Write what was held back, in a transaction of its own."""
        held, self._held = self._held, []
        for outbox, batches in held:
            await self._alone(outbox, batches)


class CommitBeforeEmit(_HoldingWriter):
    """Leaves all output out."""

    async def send(self, outbox: Outbox, batches: Iterable[Any]) -> None:
        if self._says(outbox):
            self._held += [(outbox, [batch]) for batch in batches]
        else:
            await super().send(outbox, batches)


class _RecordApart(Outbox):
    """A changelog whose last batch is the task's record alone."""

    def extend(self, prefix: bytes, rows: Iterable[tuple[bytes, bytes | None]]) -> int:
        if prefix == TASK:
            self.seal()
        return super().extend(prefix, rows)


class OffsetsBeforeState(_HoldingWriter):
    """Leaves the rows of the state out: the task's record, which has the positions, is committed without them."""

    def outbox(self, topic: str, partition: int) -> Outbox:
        return _RecordApart(self._producer, topic, partition)

    async def send(self, outbox: Outbox, batches: Iterable[Any]) -> None:
        ready = list(batches)
        if not self._says(outbox):
            *rows, record = ready
            self._held += [(outbox, [batch]) for batch in rows]
            ready = [record]
        await super().send(outbox, ready)


class CutTask(Task):
    """A task that stands still in mid-output only when something of it is open."""

    async def _at(self, point: CrashPoint, wrote: dict[str, int], left: Mapping[str, int] | None = None) -> None:
        if point is not CrashPoint.MID_SINK or wrote:
            await super()._at(point, wrote, left)


class HoldingTask(CutTask):
    """A task that writes what was held back when everything else is recorded."""

    async def _at(self, point: CrashPoint, wrote: dict[str, int], left: Mapping[str, int] | None = None) -> None:
        if point is CrashPoint.AFTER_PROGRESS:
            assert isinstance(self._writer, _HoldingWriter)
            await self._writer.let_go()
        await super()._at(point, wrote, left)


class DirtyTask(Task):
    """A task that writes its rows to the store while their transaction is open."""

    async def _at(self, point: CrashPoint, wrote: dict[str, int], left: Mapping[str, int] | None = None) -> None:
        if point in (CrashPoint.MID_SINK, CrashPoint.AFTER_SINK):
            self.store.restore(dict(self.store.rows.changes()), None, self.store.read_to)
        await super()._at(point, wrote, left)


class Trusting(Reader):
    """A reader that counts no rows: an engine with such a bug would not look."""

    def is_complete(self) -> bool:
        return True


class RecordOnly(Trusting):
    """A reader that restores a store which begins empty by the task's record alone, without the rows."""

    def __init__(self, place: TopicPartition, store: Store, *, transactional: bool) -> None:
        super().__init__(place, store, transactional=transactional)
        self._begins_empty = store.read_to == 0

    def take(self, chunk: Chunk) -> None:
        if self._begins_empty:
            chunk = Chunk([message for message in chunk if message.key == TASK], chunk.first, chunk.end)
        super().take(chunk)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a variant's runtime is made of."""

    task: type[Task]
    writer: Callable[[str, str, str, StagePlan], Transactions]
    """(bootstrap, transactional id, group, stage) -> its writer."""
    reader: type[Reader] = Reader
    """Of a changelog."""


def _sound(bootstrap: str, transactional_id: str, group: str, _: StagePlan) -> Transactions:
    return Transactions(bootstrap, transactional_id, group)


PARTS = {
    "": Parts(Task, _sound),
    "bug-emit-before-commit": Parts(CutTask, EmitBeforeCommit),
    "bug-commit-before-emit": Parts(HoldingTask, CommitBeforeEmit),
    "bug-offsets-before-state": Parts(HoldingTask, OffsetsBeforeState, Trusting),
    "bug-dirty-store": Parts(DirtyTask, _sound, Trusting),
    "bug-lost-on-rebalance": Parts(Task, _sound, RecordOnly),
    "bug-partial-batch": Parts(CutTask, PartialBatch),
}
"""By `Plan.bug`; the sound engine has none."""
