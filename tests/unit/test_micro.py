"""The jobs of `python -m bench micro`: their rows are those of the oracle, and wrong ones void the figure."""

from __future__ import annotations

from collections import Counter
from itertools import groupby

import pytest

from bench.busy import Others
from bench.micro.main import Cell
from bench.micro.measure import EVENT_BYTES, Figure, WrongAnswer, _padded, backlog, judge
from bench.micro.peers import KafkaStreams, Ours
from bench.micro.work import KEYS, PARTITIONS, WORKS, Work
from engines.wire import encode_event
from semantics.oracle import Machine
from semantics.rows import Row, ValueRow
from semantics.timeline import SENTINEL_KEY

FAUST = Ours(name="faust", events=900, warmup=300)
STREAMS = KafkaStreams(name="kafka-streams", events=1, warmup=0, coalesces=False)


@pytest.mark.parametrize("work", WORKS.values(), ids=WORKS)
def test_the_rows_due_are_those_of_the_oracle(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    # Few keys and much time, so that they meet and part: sessions merge and close, pairs are found.
    for name, value in {"KEYS": 12, "_APART_US": 100_000, "_FARTHEST_BACK": 50}.items():
        monkeypatch.setattr(f"bench.micro.work.{name}", value)
    due = backlog(work, FAUST, seed=3)
    machine = Machine(work.pipeline, partitions=PARTITIONS)
    seen: Counter[Row] = Counter()
    for lane, events in groupby([*due.warmup, *due.measured], key=lambda event: event.partition):
        task = machine.feed(lane, list(events))
        seen.update(row for row in task.rows if row.key != SENTINEL_KEY)
        assert not task.late
        task.drain()
    assert seen == due.rows
    assert due.rows.total() > 50


@pytest.mark.parametrize("work", WORKS.values(), ids=WORKS)
def test_events_have_their_size_their_partition_and_whole_milliseconds(work: Work) -> None:
    events = work.events(500, seed=1)
    assert {len(_padded(encode_event(event)).value or b"") for event in events} == {EVENT_BYTES}
    assert all(event.partition == int((event.key or "k0")[1:]) % PARTITIONS for event in events)
    assert all((event.time_us or 0) % 1000 == 0 for event in events)
    assert {event.input for event in events} == set(work.inputs)
    assert work.events(500, seed=1) == events != work.events(500, seed=2)


def test_repeats_are_as_many_as_said() -> None:
    events = WORKS["dedup"].events(20_000, seed=1)
    repeated = len(events) - len({event.id for event in events})
    assert 0.03 < repeated / len(events) < 0.06
    assert len({event.key for event in events}) > KEYS / 2


def _rows(*counts: int) -> Counter[Row]:
    return Counter(ValueRow("a", (("n", count),)) for count in counts)


def test_a_missing_or_surplus_row_voids_the_figure() -> None:
    judge(_rows(1, 2), _rows(1, 2), coalesced=False)
    with pytest.raises(WrongAnswer, match="1 rows are missing and 0 are too many"):
        judge(_rows(1, 2), _rows(2), coalesced=False)
    with pytest.raises(WrongAnswer, match="0 rows are missing and 1 are too many"):
        judge(_rows(1, 2), _rows(1, 2, 2), coalesced=False)


def test_a_coalesced_count_must_end_right() -> None:
    judge(_rows(1, 2, 3), _rows(1, 3), coalesced=True)
    with pytest.raises(WrongAnswer):
        judge(_rows(1, 2, 3), _rows(1, 2), coalesced=True)
    with pytest.raises(WrongAnswer):
        judge(_rows(1, 2, 3), _rows(3, 4), coalesced=True)


def test_a_cell_shows_spread_and_never_a_wrong_figure() -> None:
    figures = [Figure(cpu_us=cpu, events_s=1, rows=1, others=Others(cpu=0, stolen=0)) for cpu in (3.0, 1.0, 2.0)]
    cell = Cell(WORKS["filter"], FAUST, figures)
    assert cell.shown() == "1.00 / 2.00 / 3.00"
    cell.wrong = "rows are missing"
    assert cell.shown() == "WRONG"


def test_a_peer_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert "JDK" in STREAMS.lacks(WORKS["filter"])
    assert Ours(name="faust-stock", events=1, warmup=0).lacks(WORKS["session"]).startswith("unsupported: ")
    assert FAUST.lacks(WORKS["session"]) == ""
