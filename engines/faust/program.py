"""A pipeline as the program that one task runs: decode, pass the stateless operators, judge, take, move time, close."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol, assert_never

import msgspec

from engines.faust.carry import Carrier, origin
from engines.faust.carry import decode as decode_carried
from engines.faust.chain import Chain, Parts
from engines.faust.clocks import behind
from engines.faust.compile import operator_of
from engines.faust.inputs import Fed, Input, input_of
from engines.faust.keys import BEFORE_ALL
from engines.faust.operators import Emit, Event, Operator, Refused
from engines.faust.steps import transform
from engines.faust.store import TaskRecord
from engines.faust.tables import Tables
from engines.faust.timers import Wall
from semantics.pipeline import (
    Pipeline,
    Stateful,
    Watermark,
    flat,
    inputs,
    nodes,
    sources,
    steps,
    timed,
)
from semantics.time import us

decode_event = msgspec.json.Decoder(Event).decode
UNREADABLE = (ValueError, TypeError, RecursionError)
"""Exceptions of the decoder: `msgspec.DecodeError` and `UnicodeDecodeError` are `ValueError`s, a tombstone (None) is a
`TypeError`, and deep nesting a `RecursionError`."""


class Record(Protocol):
    """A record as it was fetched."""

    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


Bury = Callable[[str, Record, str], None]
"""Takes an unusable record to the dead letters: input name, record, reason."""


class _Telling:
    """An operator that, after every record, tells the stage behind it where its output's time is."""

    due = BEFORE_ALL

    def __init__(self, operator: Operator, tell: Callable[[], None]) -> None:
        self._operator, self._tell = operator, tell
        self.on_event = operator.on_event

    def on_watermark(self, watermark: int) -> None:
        """Close what is due: what is said of it is still to be judged by the time before."""
        if watermark >= self._operator.due:
            self._operator.on_watermark(watermark)
        self._tell()

    def tidy(self, watermark: int) -> None:
        self._operator.tidy(watermark)

    def recover(self, watermark: int) -> None:
        self._operator.recover(watermark)
        self._tell()


def _all_decoded(records: Sequence[Record]) -> list[Event] | None:
    """Return the events of records; None if one cannot be read: which, and why, is found one by one."""
    try:
        return [decode_event(record.value) for record in records]  # type: ignore[arg-type]
    except UNREADABLE:
        return None


class Program:
    """What one task computes. It is told records, and says rows; its state is in the table that it was built on."""

    def __init__(
        self,
        pipeline: Pipeline,
        rows: Tables,
        emit: Emit | Carrier,
        bury: Bury,
        *,
        asks_time: Collection[str] | None = None,
        feeds: Mapping[str, int] | None = None,
    ) -> None:
        """`asks_time`: the inputs whose events need a time, if more than this pipeline asks for it.

        `feeds`: for inputs that another stage feeds, of how many partitions that is.
        """
        self._chain: Chain | None = None
        self.wall = wall = Wall()
        if flat(pipeline):
            streams = inputs(pipeline) if isinstance(pipeline, Stateful) else (pipeline,)
            self.inputs = {
                source.name: input_of(source, side, transform(steps(stream)), feeds or {})
                for side, stream in enumerate(streams)
                for source in sources(stream)
            }
            self._operator = operator_of(pipeline, rows.parts, emit, wall)
        else:
            ordered = enumerate(sources(pipeline))
            self.inputs = {source.name: input_of(source, side, None, feeds or {}) for side, source in ordered}
            for node in nodes(pipeline):
                if isinstance(node, Watermark):
                    self.inputs[sources(node)[0].name].behind_us = us(node.delay)
            tables = iter(rows.parts)
            # Operators are made in the order of `nodes`, as their tables were.
            making = Parts(
                lambda node, emit: operator_of(node, [next(tables)] if isinstance(node, Stateful) else [], emit, wall),
                transform, self.inputs, self._count,
            )  # fmt: skip
            self._operator = self._chain = Chain(pipeline, making, emit)
        self._clocked = [input for input in self.inputs.values() if input.behind_us is not None]
        self._timed = timed(pipeline) if asks_time is None else asks_time
        self._plain = self._plain_inputs()
        """Input -> what takes many events at once, where nothing but the operator has a word."""
        self._behind = behind(pipeline, self.inputs)
        if isinstance(emit, Carrier):
            self._operator = _Telling(self._operator, lambda: emit.judge_by(self.announced))
        stateless = not any(isinstance(node, Stateful) for node in nodes(pipeline))
        self._carrier = emit if isinstance(emit, Carrier) and stateless else None
        """With it goes what may be late behind it: who meets an operator here is judged here."""
        self._bury = bury
        self._watermark = BEFORE_ALL
        self._lowest = self._of_awake if any(input.patient for input in self._clocked) else self._of_all
        self.late = 0
        """Late events so far."""
        self.duplicates = 0
        """Repeats held back so far."""
        self.dead = 0

    @property
    def watermark(self) -> int | None:
        """The task's watermark in microseconds since 1970; None before there is one."""
        watermark = self._lowest()
        return None if watermark == BEFORE_ALL else watermark

    @property
    def clock(self) -> int | None:
        """The lowest clock of all stages up to here, in microseconds since 1970; None before there is one."""
        watermark = self.watermark
        if watermark is None or not any(input.held_us for input in self._clocked):
            return watermark
        inputs = [input for input in self._clocked if not input.idle] or self._clocked
        marks = [
            input.highest - (input.behind_us or 0) + input.held_us for input in inputs if input.highest is not None
        ]
        return max(watermark, min(marks) if inputs is not self._clocked else max(marks))

    @property
    def announced(self) -> int | None:
        """The watermark of what comes out; None before there is one."""
        watermark = self._behind()
        return None if watermark == BEFORE_ALL else watermark

    @property
    def idle(self) -> bool:
        """Whether all that has a clock is left out: what reads this need not wait for it."""
        return bool(self._clocked) and all(input.idle for input in self._clocked)

    def tick(self, now_us: int) -> None:
        """Fire the timers that are due, all that had come by then being processed."""
        for timer in self.wall.timers:
            if timer.wakes <= now_us:
                timer.on_time(now_us)
        if self._watermark >= self._operator.due:
            self._operator.on_watermark(self._watermark)

    def hush(self, name: str) -> None:
        """Leave out an input that has become idle, until its next record, and close what is due without it."""
        self.inputs[name].idle = True
        self._watermark = self._lowest()
        if self._watermark >= self._operator.due:
            self._operator.on_watermark(self._watermark)

    def load(self, record: TaskRecord) -> None:
        """Continue where a commit left off; the rows are in the table already."""
        for name in record.idle:
            self.inputs[name].idle = True
        if record.reached:
            self._watermark, *reached = record.reached
            if self._chain is not None:
                self._chain.marks = reached
        for name, highest in record.highest.items():
            self.inputs[name].highest = highest
        for name, held_us in record.held.items():
            self.inputs[name].held_us = held_us
        for name, marks in record.marks.items():
            input = self.inputs[name]
            assert isinstance(input, Fed)
            input.marks = dict(marks)
        self.late, self.duplicates, self.dead = record.late, record.duplicates, record.dead
        self._watermark = self._lowest()
        if self._chain is not None:
            self._chain.taken = record.taken
        self._operator.recover(self._watermark)

    def tidy(self) -> None:
        """Forget what is of no use any more. To be called before each commit."""
        self._operator.tidy(self._watermark)

    def save(self, positions: Mapping[str, int], number: int = 1, logged_bytes: int = 0) -> TaskRecord:
        """Return what commit `number`, at these positions, records."""
        highest = {name: input.highest for name, input in self.inputs.items() if input.highest is not None}
        return TaskRecord(
            positions=dict(positions), highest=highest, late=self.late, duplicates=self.duplicates, dead=self.dead,
            commits=number, taken=0 if self._chain is None else self._chain.taken, logged_bytes=logged_bytes,
            idle=[name for name, input in self.inputs.items() if input.idle], reached=self._reached(),
            marks={name: dict(input.marks) for name, input in self.inputs.items() if isinstance(input, Fed)},
            held={name: input.held_us for name, input in self.inputs.items() if input.held_us},
        )  # fmt: skip

    def feed(self, name: str, records: Sequence[Record]) -> None:
        """Process records of one input in order, each to its end: judged, taken, time moved, due windows closed."""
        input, operator, needs_time = self.inputs[name], self._operator, name in self._timed
        if isinstance(input, Fed):
            self._feed_carried(input, records)
            return
        if self._carrier is not None:
            if input.late_output and len(records) > 1:
                for record in records:
                    self.feed(name, (record,))
                return
            if input.late_output and records:
                self._carrier.comes_from(name, records[0])
            else:
                self._carrier.comes_alone()
        if input.idle and records:
            self._watermark = self._lowest()
            self._wake(input)
        if name in self._plain and (events := _all_decoded(records)) is not None:
            self._plain[name](events)
            return
        side, transform, clocked = input.side, input.transform, input.delay_us is not None
        on_event, watermark, future = operator.on_event, self._watermark, input.future_us
        highest = BEFORE_ALL if input.highest is None else input.highest
        for record in records:
            try:
                event = decode_event(record.value)  # type: ignore[arg-type]  # None, a tombstone, is no JSON either
            except UNREADABLE:
                self._dead(name, record, "bad_record")
                continue
            time = event.t
            if time is None and needs_time:
                self._dead(name, record, "no_time")
                continue
            if future is not None and time is not None and time > highest + future and input.highest is not None:
                self._dead(name, record, "future")
                continue
            if transform is None or transform(event):
                refused = on_event(side, event, record.offset, watermark)
                if refused is not None:
                    self._count(refused)
                if input.late_output and (refused is Refused.LATE or (self._chain is not None and self._chain.late)):
                    self._dead(name, record, "late")
            if clocked and time is not None and time > highest:
                input.highest = highest = time
                self._watermark = watermark = self._lowest()
            if watermark >= operator.due:
                operator.on_watermark(watermark)

    def _feed_carried(self, input: Fed, records: Sequence[Record]) -> None:
        """As `feed`: what was unusable stayed behind, and each event brings the time by which it is to be judged."""
        operator, side, transform, watermark = self._operator, input.side, input.transform, self._watermark
        for record in records:
            assert record.value is not None
            event = decode_carried(record.value)
            if input.idle:
                self._watermark = self._lowest()
            was_idle = input.idle
            if input.hear(event):
                if was_idle and not input.idle:
                    self._wake(input)
                self._watermark = watermark = self._lowest()
                if watermark >= operator.due:
                    operator.on_watermark(watermark)
            if event.n is None and (transform is None or transform(event)):
                refused = operator.on_event(side, event, record.offset, watermark)
                if refused is not None:
                    self._count(refused)
                if input.late_output:
                    late = refused is Refused.LATE or (self._chain is not None and self._chain.late)
                    if late and origin(record):
                        self._dead(input.name, record, "late")
                if watermark >= operator.due:
                    operator.on_watermark(watermark)

    def _plain_inputs(self) -> dict[str, Callable[[Iterable[Event]], None]]:
        take = getattr(self._operator, "on_events", None)
        if take is None:
            return {}
        return {
            name: take for name, input in self.inputs.items()
            if not (isinstance(input, Fed) or name in self._timed or input.transform or input.late_output)
            and input.delay_us is input.future_us is None
        }  # fmt: skip

    def _count(self, refused: Refused) -> None:
        match refused:
            case Refused.LATE:
                self.late += 1
            case Refused.REPEAT:
                self.duplicates += 1
            case _:
                assert_never(refused)

    def _wake(self, input: Input) -> None:
        """Let an idle input count again, from the watermark that was reached without it.

        A clock behind a source moves unnoticed: whoever calls has read the task's watermark, which may fall now.
        """
        input.idle = False
        reached = self._watermark if self._chain is None else self._chain.entered(input.name)
        if reached != BEFORE_ALL and input.behind_us is not None:
            least = reached + input.behind_us
            input.highest = least if input.highest is None else max(input.highest, least)

    def _reached(self) -> list[int]:
        if not any(input.patient for input in self._clocked):
            return []
        return [self._watermark, *([] if self._chain is None else self._chain.marks)]

    def _of_awake(self) -> int:
        """As `_of_all`, where an input can be idle: it never falls when one is back."""
        marks = [
            (BEFORE_ALL if input.highest is None or input.behind_us is None else input.highest - input.behind_us, input)
            for input in self._clocked
        ]
        awake = [mark for mark, input in marks if not input.idle]
        return max(self._watermark, min(awake) if awake else max(mark for mark, _ in marks))

    def _of_all(self) -> int:
        lowest = None
        for input in self._clocked:
            if input.highest is None or input.behind_us is None:
                return BEFORE_ALL
            mark = input.highest - input.behind_us
            lowest = mark if lowest is None or mark < lowest else lowest
        return BEFORE_ALL if lowest is None else lowest

    def _dead(self, name: str, record: Record, reason: str) -> None:
        self.dead += 1
        self._bury(name, record, reason)
