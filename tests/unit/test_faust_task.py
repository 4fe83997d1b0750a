"""The chain of custody and the order of a commit, of one task with a writer that notes what it is asked to do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from engines.contract import Job, Profile
from engines.faust.changelog import TASK, ChangelogLost, InputBounds
from engines.faust.compile import store_for
from engines.faust.driver import Chunk
from engines.faust.failpoints import FailPoints
from engines.faust.identity import TopicReplaced
from engines.faust.plan import Guarantee, Plan, read, stage_plans
from engines.faust.silence import Clock
from engines.faust.store import Caches, TaskRecord
from engines.faust.task import FATAL_EXIT, InputLost, StateOfAnotherPipeline, Surroundings, Task
from engines.faust.writer import BATCH_BYTES, Migrated, Outbox
from semantics.pipeline import Absence, Aggregate, Emit, Source, Timer, Tumbling
from semantics.timeline import CrashPoint

JOB = Job("job", Aggregate(Source(), emit=Emit.UPDATE), {"in": "input"}, "out", "dead")


def plan(guarantee: Guarantee = Guarantee.EXACTLY_ONCE) -> Plan:
    return Plan(
        bootstrap="", group="group", member="group-0", session_timeout_s=6.0, guarantee=guarantee,
        commit_interval_s=0.0, fetch_records=10, profile=Profile.SUITE, state_dir="", stages=stage_plans("group", JOB),
    )  # fmt: skip


class Noting:
    """A writer whose broker takes everything, and says where it put it."""

    def __init__(self) -> None:
        self.ends: dict[str, int] = {}
        self.noted: list[str] = []
        self.logs: dict[str, list[tuple[bytes | None, bytes | None]]] = {}
        self.positions: dict[str, int] = {}
        self.refuses: Exception | None = None
        self._wrote: dict[str, int] = {}

    async def start(self, topics: Iterable[str]) -> None: ...

    def outbox(self, topic: str, partition: int) -> Outbox:
        builders = SimpleNamespace(create_batch=lambda: BatchBuilder(BATCH_BYTES, 0, is_transactional=1))
        return Outbox(builders, topic, partition)

    async def send(self, outbox: Outbox, batches: Iterable[Any]) -> None:
        for batch in batches:
            log = self.logs.setdefault(outbox.topic, [])
            count, records = batch.record_count(), MemoryRecords(bytes(batch._build()))
            found = [(record.key, record.value) for record in records.next_batch()]
            assert len(found) == count
            log += found
            self._wrote[outbox.place] = len(log)
            self.noted.append(f"send {outbox.topic}")

    async def acknowledged(self) -> dict[str, int]:
        wrote, self._wrote = self._wrote, {}
        self.ends.update(wrote)
        self.noted.append("acknowledged")
        return wrote

    async def commit(self, positions: Mapping[Any, int]) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.positions = {place.topic: offset for place, offset in positions.items()}
        self.noted.append("commit")

    async def abort(self) -> None: ...
    async def stop(self) -> None: ...

    def fenced(self, error: Exception) -> bool:
        return isinstance(error, Migrated)


class Stage:
    """A task, open."""

    def __init__(
        self, path: Path, guarantee: Guarantee = Guarantee.EXACTLY_ONCE, job: Job = JOB, clock: Clock | None = None
    ) -> None:
        self.writer, self.points = Noting(), FailPoints()
        self.seeks: list[tuple[str, int, int]] = []
        self.commits, self.lost = asyncio.Event(), asyncio.Event()

        async def seek(topic: str, partition: int, offset: int) -> None:
            self.seeks.append((topic, partition, offset))
            self.commits.set()

        self.looked = asyncio.Event()

        def generation() -> int:
            self.looked.set()
            return 7

        self.begin, self.log_end = 0, 99

        async def bounds(topic: str, partition: int) -> tuple[int, int]:
            assert (topic, partition) == ("input", 0)
            return self.begin, self.log_end

        self.end = (0.0, 0)
        around = Surroundings(
            clock=clock or Clock(),
            generation=generation,
            seek=seek,
            bounds=bounds,
            committed=self.commits.set,
            lost=self.lost.set,
            points=self.points,
            end=lambda *_: self.end,
            past=lambda _, __, offset: offset,
        )
        self.task = Task(plan(guarantee), stage_plans("group", job)[0], 0, self.writer, around)
        self.store = store_for(job.pipeline, path, Caches(), saved_every_s=0)

    async def open(
        self, *stale: bytes, begin: int = 0, end: int = 99, committed: int = 0, topic: str = "input", id: str = "C/1"
    ) -> Stage:
        self.begin = begin
        bounds = {topic: InputBounds(begin, end, committed)}
        await self.task.open(self.store, set(stale), bounds=bounds, ids={topic: id})
        return self

    async def give(self, first: int, end: int, generation: int = 7) -> None:
        """Deliver one chunk of events and wait until it led to a commit or a seek."""
        self.commits.clear()
        await self.task.deliver("input", chunk(first, end, generation))
        await self.commits.wait()

    @property
    def rows(self) -> list[bytes | None]:
        return [value for _, value in self.writer.logs.get("out", [])]


def chunk(first: int, end: int, generation: int = 7) -> Chunk:
    records = [SimpleNamespace(offset=offset, key=None, value=b'{"k":"a","v":1}') for offset in range(first, end)]
    return Chunk(records, first, end, generation)


def counts(*numbers: int) -> list[bytes]:
    return [b'{"k":"a","n":%d}' % number for number in numbers]


async def test_the_state_of_another_pipeline_is_refused(tmp_path: Path) -> None:
    stage = await Stage(tmp_path / "0").open()
    await stage.give(0, 2)
    await stage.task.close()
    again = Stage(tmp_path / "0")
    again.task.stage = replace(again.task.stage, fingerprint="1-of-another")
    with pytest.raises(StateOfAnotherPipeline, match="under a group of its own"):
        await again.open()
    again.store.close()


async def test_a_commit_writes_everything_in_order(tmp_path: Path) -> None:
    stage = await Stage(tmp_path / "0").open()
    await stage.give(0, 2)
    assert stage.rows == counts(1, 2)
    changelog = stage.writer.logs["group-job-changelog"]
    assert [key for key, _ in changelog][-1] == TASK
    assert len(changelog) == 2, "one record a changed key, and the task's"
    order = [noted for noted in stage.writer.noted if noted != "acknowledged"]
    assert order == ["send out", "send group-job-changelog", "commit"]
    assert stage.writer.positions == {"input": 2} == stage.store.record.positions
    assert stage.store.read_to == 2
    await stage.task.close()


async def test_an_input_is_idle_once_the_broker_has_said_so_and_that_is_committed(tmp_path: Path) -> None:
    patient = Aggregate(Source(delay=timedelta(0), idle_after=timedelta(microseconds=1)), window=Tumbling(timedelta(1)))
    stage = await Stage(tmp_path / "0", job=replace(JOB, pipeline=patient)).open()
    await stage.give(0, 1)
    assert stage.task.overdue, "and yet it may be our own silence"
    assert not stage.store.record.idle
    stage.commits.clear()
    stage.end = (time.time(), 1)
    await stage.commits.wait()
    assert stage.store.record.idle == ["in"]
    assert not stage.task.overdue
    await stage.give(1, 2)
    assert not stage.store.record.idle
    await stage.task.close()


async def test_a_timer_waits_until_all_that_had_come_by_then_is_processed(tmp_path: Path) -> None:
    silent = Absence(Source(), after=timedelta(microseconds=1), timer=Timer.PROCESSING_TIME)
    stage = await Stage(tmp_path / "0", job=replace(JOB, pipeline=silent)).open()
    stage.end = (time.time() + 1, 2)
    await stage.give(0, 1)
    assert stage.task.overdue
    assert stage.rows == [], "the second one may be of the same key"
    await stage.give(1, 2)
    stage.commits.clear()
    while stage.task.overdue:
        await stage.commits.wait()
    assert stage.rows == [b'{"k":"a","i":null,"v":1,"t":null}']
    assert stage.store.record.rows == 0
    await stage.task.close()


async def test_time_that_is_told_stands_still_until_it_passes(tmp_path: Path) -> None:
    silent = Absence(Source(), after=timedelta(seconds=4), timer=Timer.PROCESSING_TIME)
    clock = Clock(1_000.0)
    stage = await Stage(tmp_path / "0", job=replace(JOB, pipeline=silent), clock=clock).open()
    await stage.give(0, 1)
    clock.forward(3)
    stage.end = (time.time(), 1)
    stage.task.time_passed()
    assert not stage.task.overdue
    clock.forward(1)
    stage.task.time_passed()
    assert stage.task.overdue
    assert stage.rows == [], "the broker has not said since that nothing else had come"
    stage.commits.clear()
    stage.end = (time.time(), 1)
    while stage.task.overdue:
        await stage.commits.wait()
    assert stage.rows == [b'{"k":"a","i":null,"v":1,"t":null}']
    await stage.task.close()


async def test_without_transactions_state_follows_output_and_offsets_come_last(tmp_path: Path) -> None:
    stage = await Stage(tmp_path / "0", Guarantee.AT_LEAST_ONCE).open()
    await stage.give(0, 1)
    assert stage.writer.noted == ["send out", "acknowledged", "send group-job-changelog", "acknowledged", "commit"]
    await stage.task.close()


async def test_custody_is_unbroken(tmp_path: Path) -> None:
    stage = await Stage(tmp_path / "0").open()
    await stage.give(0, 2)
    await stage.give(3, 5)
    assert stage.seeks == [("input", 0, 2)], "a gap is not processed, but fetched again"
    await stage.give(1, 4)
    assert stage.rows == counts(1, 2, 3, 4), "of an overlap only what is new"
    await stage.task.deliver("input", chunk(0, 4))
    await stage.task.deliver("input", chunk(4, 5, generation=6))
    await stage.give(4, 6)
    assert stage.rows == counts(1, 2, 3, 4, 5, 6), "nothing twice, nothing of an older generation"
    await stage.task.close()


async def test_custody_begins_where_the_log_does(tmp_path: Path) -> None:
    stage = await Stage(tmp_path / "0").open(begin=3)
    await stage.give(5, 6)
    assert stage.seeks == [("input", 0, 3)], "the first chunk of all may have been dropped at a rebalance"
    await stage.give(3, 5)
    assert stage.rows == counts(1, 2)
    await stage.task.close()


@pytest.mark.parametrize(("known", "committed"), [(None, 1), (4, 5)])
async def test_a_lost_changelog_is_told(tmp_path: Path, known: int | None, committed: int) -> None:
    stage = Stage(tmp_path / "0")
    if known is not None:
        stage.store.restore({}, TaskRecord(positions={"input": known}).encode(), 1)
    with pytest.raises(ChangelogLost, match=f"changelog was lost.*up to {committed}.*another name"):
        await stage.open(committed=committed)
    assert stage.writer.noted == []


async def test_offsets_behind_the_store_are_no_loss(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "0", Guarantee.AT_LEAST_ONCE)
    stage.store.restore({}, TaskRecord(positions={"input": 4}).encode(), 1)
    await stage.open(committed=3)
    await stage.give(3, 5)
    assert stage.rows == counts(1)
    await stage.task.close()


@pytest.mark.parametrize(
    ("id", "says"),
    [
        ("C/2", r"input was deleted and created again: its id \(cluster/topic\) was C/1, and is C/2"),
        ("D/2", "input is on another Kafka cluster"),
    ],
)
async def test_positions_of_another_topic_are_refused(tmp_path: Path, id: str, says: str) -> None:
    stage = Stage(tmp_path / "0")
    stage.store.restore({}, TaskRecord(positions={"input": 4}, ids={"input": "C/1"}).encode(), 1)
    with pytest.raises(TopicReplaced, match=f"{says}.*another name"):
        await stage.open(id=id)
    assert stage.writer.noted == []


async def test_positions_without_an_id_are_taken_over_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage(tmp_path / "0")
    stage.store.restore({}, TaskRecord(positions={"input": 4}).encode(), 1)
    await stage.open()
    assert "the state has no id of topic input; C/1 is taken" in caplog.text
    await stage.give(4, 5)
    assert stage.task.committed.ids == {"input": "C/1"}
    await stage.task.close()


async def test_state_made_from_an_input_that_is_none_now_is_refused(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "0")
    stage.store.restore({}, TaskRecord(positions={"input": 4}, ids={"input": "C/1"}).encode(), 1)
    with pytest.raises(StateOfAnotherPipeline, match="made from topic input, which is no input of the job now"):
        await stage.open(topic="other")


@pytest.mark.parametrize(("begin", "end", "says"), [(5, 9, "begins at 5, but is processed only"), (0, 3, "ends at 3")])
async def test_a_log_without_the_position_is_refused(tmp_path: Path, begin: int, end: int, says: str) -> None:
    stage = Stage(tmp_path / "0")
    stage.store.restore({}, TaskRecord(positions={"input": 4}).encode(), 1)
    with pytest.raises(InputLost, match=says):
        await stage.open(begin=begin, end=end)


@pytest.mark.parametrize(
    ("begin", "end", "first", "says"), [(6, 9, 6, "begins at 6"), (0, 3, 0, "ends at 3, but is processed up to 4")]
)
async def test_a_log_that_loses_the_position_ends_the_worker(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    begin: int,
    end: int,
    first: int,
    says: str,
) -> None:
    """The fetcher begins anew where the log does."""
    stage = Stage(tmp_path / "0")
    stage.store.restore({}, TaskRecord(positions={"input": 4}).encode(), 1)

    ended = asyncio.Event()

    def exits(code: int) -> None:
        assert code == FATAL_EXIT
        ended.set()

    monkeypatch.setattr("os._exit", exits)
    await stage.open(begin=0)
    stage.begin, stage.log_end = begin, end
    await stage.task.deliver("input", chunk(first, first + 1))
    await ended.wait()
    assert stage.seeks == []
    assert f"InputLost: job/0: input/0 {says}" in capfd.readouterr().err
    await stage.task.close()


async def test_a_revoke_commits_what_is_open_and_drops_what_waits(tmp_path: Path) -> None:
    stage = await Stage(tmp_path / "0").open()
    await stage.give(0, 1)
    stage.task._interval_s = 1e9
    await stage.task.deliver("input", chunk(1, 3))
    stage.looked.clear()
    await stage.looked.wait()
    assert stage.writer.positions == {"input": 1}
    await stage.task.pause()
    assert stage.writer.positions == {"input": 3}
    await stage.task.deliver("input", chunk(3, 9))
    assert not stage.task.busy
    stage.task.resume()
    stage.task._interval_s = 0.0
    await stage.give(3, 4)
    assert stage.rows == counts(1, 2, 3, 4)
    await stage.task.close()


@pytest.mark.parametrize(
    ("error", "condemned"), [(Migrated("another has it"), False), (OSError("Corruption: block"), True)]
)
@pytest.mark.parametrize("revoked", [False, True])
async def test_what_is_lost_is_closed_as_it_is(
    tmp_path: Path, error: Exception, condemned: bool, revoked: bool
) -> None:
    stage = await Stage(tmp_path / "0").open()
    await stage.give(0, 1)
    stage.task._interval_s = 1e9 if revoked else 0.0
    stage.writer.refuses = error
    stage.looked.clear()
    await stage.task.deliver("input", chunk(1, 3))
    await stage.looked.wait()
    if revoked:
        await stage.task.pause()
    await stage.lost.wait()
    assert stage.task.lost
    assert not stage.task.busy
    await stage.task.deliver("input", chunk(3, 4))
    await stage.task.close()
    assert stage.writer.positions == {"input": 1}
    assert (tmp_path / "0" / "DAMAGED").exists() is condemned
    again = store_for(JOB.pipeline, tmp_path / "0", Caches(), saved_every_s=0)
    assert again.record.positions == ({} if condemned else {"input": 1})
    again.close()


async def test_what_has_no_commit_behind_it_is_overwritten(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "0", Guarantee.AT_LEAST_ONCE)
    stage.store.restore({b"kept": b"4"}, TaskRecord(positions={"input": 9}).encode(), 3)
    await stage.open(b"kept", b"gone")
    healed = dict(stage.writer.logs["group-job-changelog"])
    assert healed.pop(TASK) is not None
    assert healed == {b"rkept": b"4", b"rgone": None}
    await stage.task.close()


@pytest.mark.parametrize("point", CrashPoint)
async def test_an_armed_point_holds_the_task(tmp_path: Path, point: CrashPoint) -> None:
    stage = await Stage(tmp_path / "0").open()
    stage.points.arm(point)
    await stage.task.deliver("input", chunk(0, 3))
    [parked] = await stage.points.standstill(lambda: int(stage.task.busy))
    assert (parked.job, parked.partition) == ("job", 0)
    assert stage.store.record.positions == ({"input": 3} if point is CrashPoint.AFTER_PROGRESS else {})
    wrote = {
        CrashPoint.BEFORE_PROCESS: {}, CrashPoint.AFTER_PROCESS: {}, CrashPoint.MID_SINK: {"out/0": 1},
    }.get(point, {"out/0": 3, "group-job-changelog/0": 2})  # fmt: skip
    assert parked.wrote == wrote
    assert parked.left == ({"out/0": 2, "group-job-changelog/0": 2} if point is CrashPoint.MID_SINK else {})
    assert ("commit" in stage.writer.noted) is (point in (CrashPoint.AFTER_COMMIT, CrashPoint.AFTER_PROGRESS))


@pytest.mark.parametrize("many", [False, True])
async def test_a_full_batch_begins_another(tmp_path: Path, many: bool) -> None:
    stage = await Stage(tmp_path / "0").open()
    outbox = stage.writer.outbox("out", 0)
    outbox.stamp()
    if many:
        assert outbox.extend(b"k", [(b"ey", b"x" * 100_000)] * 25) == 25 * 100_003
    else:
        for _ in range(25):
            outbox.append(b"key", b"x" * 100_000)
    outbox.seal()
    assert [batch.record_count() for batch in outbox.full(most=1)] == [9]
    assert sum(batch.record_count() for batch in outbox.full()) == 16
    await stage.task.close()


def test_a_plan_is_read_back(tmp_path: Path) -> None:
    plan().write(tmp_path / "plan.json")
    again = read(tmp_path / "plan.json")
    assert again == plan()
    assert again.stages[0].compiled() == JOB.pipeline
