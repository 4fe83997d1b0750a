"""Re-keying: where a pipeline is cut, what goes over, and how time comes back together."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from engines.faust.carry import Carrier
from engines.faust.compile import memory_for
from engines.faust.program import Program
from engines.faust.stages import cut
from engines.faust.writer import BATCH_BYTES, Outbox
from semantics.expr import ID, KEY, VALUE, expr
from semantics.pipeline import Aggregate, Emit, Explode, Filter, Join, KeyBy, Pipeline, Source, Tumbling, Union
from semantics.time import s

SOURCE = Source(delay=s(1))
WINDOWS = Aggregate(KeyBy(SOURCE, ID), window=Tumbling(s(10)))


def test_one_partition_needs_no_cut() -> None:
    [whole] = cut(WINDOWS, 1)
    assert whole.pipeline == WINDOWS
    assert not whole.feeds


def test_a_key_that_nothing_is_kept_by_needs_no_cut() -> None:
    only_passing = Filter(KeyBy(SOURCE, ID), expr(VALUE, ">", 0))
    [whole] = cut(only_passing, 4)
    assert whole.pipeline == only_passing


def test_a_new_key_that_state_is_kept_by_is_a_cut() -> None:
    before, after = cut(WINDOWS, 4)
    assert before.pipeline == KeyBy(SOURCE, ID)
    [(fed, number)] = after.feeds.items()
    assert number == 0
    assert after.pipeline == Aggregate(Source(fed, delay=s(1)), window=Tumbling(s(10)))


def test_only_the_last_of_two_new_keys_costs_a_topic() -> None:
    twice = Aggregate(KeyBy(Filter(KeyBy(SOURCE, ID), expr(VALUE, ">", 0)), ID), emit=Emit.UPDATE)
    assert len(cut(twice, 4)) == 2


def test_each_side_of_a_join_is_cut_for_itself() -> None:
    left, right = Source("L", delay=s(1)), Source("R", delay=s(2))
    first, second, last = cut(Join(KeyBy(left, ID), KeyBy(right, ID), lo=s(0), hi=s(1)), 2)
    assert (first.pipeline, second.pipeline) == (KeyBy(left, ID), KeyBy(right, ID))
    assert sorted(last.feeds.values()) == [0, 1]


def test_all_that_meet_are_repartitioned_if_one_of_them_is() -> None:
    left, right = Source("L", delay=s(1)), Source("R", delay=s(2))
    first, second, last = cut(Join(left, KeyBy(right, ID), lo=s(0), hi=s(1)), 2)
    assert (first.pipeline, second.pipeline) == (KeyBy(left, KEY), KeyBy(right, ID))
    assert sorted(last.feeds.values()) == [0, 1]
    assert len(cut(Aggregate(Union((left, Filter(KeyBy(right, ID), expr(VALUE, ">", 0)))), emit=Emit.UPDATE), 2)) == 3
    assert len(cut(Union((left, KeyBy(right, ID))), 2)) == 1


class Lanes:
    """Two tasks of the first stage, and one of the second, that hears both."""

    def __init__(self, pipeline: Pipeline = WINDOWS) -> None:
        before, after = cut(pipeline, 2)
        builders = SimpleNamespace(create_batch=lambda: BatchBuilder(BATCH_BYTES, 0, is_transactional=1))
        self.outboxes = [[Outbox(builders, "between", lane) for lane in range(2)] for _ in range(2)]
        self.carriers = [Carrier(outboxes, number, {"in": "input"}) for number, outboxes in enumerate(self.outboxes)]
        self.programs = [Program(before.pipeline, memory_for(before.pipeline), c, self.bury, asks_time=["in"])
                         for c in self.carriers]  # fmt: skip
        self.rows: list[dict[str, Any]] = []
        self.last = Program(after.pipeline, memory_for(after.pipeline), self.emit, self.bury, feeds=dict.fromkeys(
            after.feeds, 2
        ))  # fmt: skip
        [self.fed] = after.feeds
        self.commits = [0, 0]
        self.dead = 0

    def emit(self, _: bytes | None, row: bytes) -> None:
        self.rows.append(msgspec.json.decode(row))

    def bury(self, *_: Any) -> None:
        self.dead += 1

    def feed(self, upstream: int, *events: str) -> None:
        """Process events of one partition, end its commit, and carry what it said to the last stage (id x alone)."""
        came = [SimpleNamespace(offset=0, key=None, value=event.encode()) for event in events]
        self.programs[upstream].feed("in", came)
        self.commits[upstream] += 1
        self.carriers[upstream].mark(self.programs[upstream].announced, self.commits[upstream])
        for outbox in self.outboxes[upstream]:
            outbox.seal()
            for batch in outbox.full():
                found = [
                    record for records in [MemoryRecords(bytes(batch._build()))] for record in records.next_batch()
                ]
                if outbox.partition == 0:
                    self.last.feed(self.fed, found)


def event(id: str, seconds: int, value: int = 1) -> str:
    return f'{{"k":"a","i":"{id}","v":{value},"t":{seconds * 1_000_000}}}'


def test_time_is_the_slowest_partitions_and_moves_where_no_event_goes() -> None:
    lanes = Lanes()
    lanes.feed(0, event("x", 5))
    assert lanes.last.watermark is None, "of one partition nothing is known yet"
    lanes.feed(1, event("x", 7))
    assert lanes.last.watermark == 4_000_000
    lanes.feed(0, event("u", 31))
    assert lanes.last.watermark == 6_000_000
    assert not lanes.rows
    lanes.feed(1, event("u", 31))
    assert [(row["k"], row["n"]) for row in lanes.rows] == [("x", 2)]
    assert lanes.last.save({}).marks[lanes.fed][1].commit == 2


def test_an_event_is_judged_by_the_time_before_it_and_what_comes_later_by_its_own() -> None:
    lanes = Lanes()
    lanes.feed(1, event("x", 50))
    lanes.feed(0, event("x", 9), event("x", 30), event("x", 8))
    assert lanes.last.late == 1, "30 s was there before 8 s came"
    assert [(row["k"], row["n"]) for row in lanes.rows] == [("x", 1)]


def test_parts_of_one_record_that_are_late_together_are_one_letter() -> None:
    late = Source(delay=s(0), late_output=True)
    lanes = Lanes(Aggregate(Explode(KeyBy(late, ID)), window=Tumbling(s(10))))
    lanes.feed(0, event("x", 30))
    lanes.feed(1, event("x", 30))
    lanes.feed(0, event("x", 5, 3))
    assert lanes.last.late == 3
    assert lanes.dead == 1


def test_what_was_heard_is_kept() -> None:
    lanes = Lanes()
    lanes.feed(0, event("x", 5))
    lanes.feed(1, event("x", 7))
    again = Lanes()
    again.last.load(lanes.last.save({}, 3))
    assert again.last.watermark == 4_000_000
    again.feed(0, event("u", 9))
    assert again.last.watermark == 6_000_000


def test_a_row_that_ends_after_all_events_can_be_carried() -> None:
    lanes = Lanes(Aggregate(KeyBy(Aggregate(SOURCE, window=Tumbling(s(10)), emit=Emit.UPDATE), KEY), emit=Emit.UPDATE))
    lanes.feed(0, f'{{"k":"x","v":1,"t":{2**63 - 1}}}')
    assert lanes.rows == [{"k": "x", "n": 1}]


def test_an_event_without_a_time_stays_behind() -> None:
    lanes = Lanes()
    lanes.feed(0, '{"k":"a","i":"x","v":1}')
    assert lanes.dead == 1
