"""The shorthand of the catalogue, parsed and printed.

    event   key#id=value@time/partition     a@5   a=7@5   L:a@5   a@5/1   ~@5   a@~   a@+1h   a@-5   a@0.000001
    row     a[0,10)=2   a[0,10){n=2 sum=9}   a=3   a=[3,~]   a=3.5   a@5   a#e1@5   a(0,5)   a(0#e1,5#e2)   a(0,_)
    figure  wm:10   wm:~   state:2   late:1   dup:1   dead:0   dead:future,2*late

Times are offsets from T0; without a unit, seconds. `~` is null, `_` is missing. What parses, prints back the same.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import NoReturn, TypeAlias

from semantics.errors import InvalidNotation
from semantics.rows import EventRow, PairRow, Ref, Row, Value, ValueRow, Values, WindowRow
from semantics.timeline import Crash, Event, Flush, Idle, Raw, Restart, Scale, Send, Step

_UNITS_US = {"us": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_KEY = re.compile(r"~|[A-Za-z_][A-Za-z0-9_]*")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INTEGER = re.compile(r"-?\d+")
_AGGREGATE = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")
_UNIT = re.compile(r"us|ms|s|m|h|d")
_COUNT = re.compile(r"\d+")
FIGURES = ("wm", "state", "late", "dup", "dead")
REASONS = ("bad_record", "no_time", "future", "late")
"""Why a record is a dead letter: it cannot be read; it has no time where one is needed; it is further ahead than its
source allows; it is late, and its source keeps such."""
Figure: TypeAlias = int | tuple[str, ...] | None
"""A count, a watermark, or the reasons of dead letters in order of the alphabet."""


def parse_step(text: str, number: int) -> tuple[Send, int]:
    """Parse one step's events. `number` ids were used before; returns the step and the new number."""
    events: list[Event | Raw] = []
    scan = _Scanner(text)
    while scan.token():
        number += 1
        events.append(_event(scan, f"e{number}"))
    if not events:
        raise InvalidNotation("A step without events: say flush() or leave it out.")
    return Send(tuple(events)), number


def parse_demand(strings: Sequence[str]) -> tuple[tuple[Row, ...], dict[str, Figure]]:
    """Parse what one step must show: rows and figures, one or more to a string."""
    rows: list[Row] = []
    figures: dict[str, Figure] = {}
    for text in strings:
        scan = _Scanner(text)
        while scan.token():
            figure = re.compile(r"[a-z]+:").match(text, scan.at)
            if figure is None:
                rows.append(_row(scan))
                continue
            name = figure[0][:-1]
            if name not in FIGURES:
                scan.fail(f"no figure {name!r}; there are {', '.join(FIGURES)}")
            if name in figures:
                scan.fail(f"{name} is named twice")
            scan.at = figure.end()
            figures[name] = _figure(scan, name)
    return tuple(rows), figures


def print_event(event: Event | Raw) -> str:
    """Print an event as it is written in a script."""
    prefix = "" if event.input == "in" else f"{event.input}:"
    suffix = f"/{event.partition}" if event.partition else ""
    if isinstance(event, Raw):
        value = re.sub(r"(.)\1{63,}", lambda run: f"{run[1]}…{len(run[0])} times…", repr(event.value))
        return f"raw({prefix}{value}{suffix})"
    value = "" if event.value == 1 else f"={_print_value(event.value)}"
    return f"{prefix}{_print_key(event.key)}#{event.id}{value}@{print_time(event.time_us)}{suffix}"


def print_step(step: Step) -> str:
    """Print a step on one line."""
    match step:
        case Send(events):
            return " ".join(print_event(event) for event in events)
        case Flush(time_us):
            return f"flush({print_time(time_us)})"
        case Idle(duration):
            return f"idle({duration.total_seconds():g} s)"
        case Crash(point, wipe_state=wiped, takeover=others):
            return f"crash({point.value}{', state wiped' if wiped else ''}{', others take over' if others else ''})"
        case Restart(wipe_state=wiped):
            return f"restart({'state wiped' if wiped else ''})"
        case Scale(workers):
            return f"scale({workers})"


def print_row(row: Row) -> str:
    """Print a row as it is written in a demand."""
    key = _print_key(row.key)
    match row:
        case EventRow(_, id, value, time_us):
            said = "" if value == 1 else f"={_print_value(value)}"
            return f"{key}{f'#{id}' if id else ''}{said}@{print_time(time_us)}"
        case WindowRow(_, start_us, end_us, values):
            return f"{key}[{print_time(start_us)},{print_time(end_us)}){_print_values(values)}"
        case ValueRow(_, values):
            return f"{key}{_print_values(values)}"
        case PairRow(_, left, right):
            return f"{key}({_print_ref(left)},{_print_ref(right)})"


def print_figure(name: str, value: Figure) -> str:
    """Print what a figure is, as it is written in a demand behind its name."""
    if isinstance(value, tuple):
        counts = Counter(value).items()
        return ",".join(f"{count}*{reason}" if count > 1 else reason for reason, count in counts) or "0"
    if name == "wm":
        return print_time(value)
    return "not told" if value is None else str(value)


def print_time(time_us: int | None) -> str:
    """Print an offset from T0 in seconds, exactly; null is ~."""
    if time_us is None:
        return "~"
    whole, rest = divmod(abs(time_us), 1_000_000)
    fraction = f".{rest:06d}".rstrip("0") if rest else ""
    return f"{'-' if time_us < 0 else ''}{whole}{fraction}"


class _Scanner:
    """A text and a place in it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def token(self) -> bool:
        """Move to the next token; return whether there is one."""
        if self.at and self.at < len(self.text) and not self.text[self.at].isspace():
            self.fail("expected a space")
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self.at < len(self.text)

    def next_is(self, literal: str) -> bool:
        """Pass over `literal` if it is next."""
        found = self.text.startswith(literal, self.at)
        self.at += len(literal) if found else 0
        return found

    def must(self, literal: str, what: str = "") -> None:
        if not self.next_is(literal):
            self.fail(f"expected {what or repr(literal)}")

    def take(self, pattern: re.Pattern[str], what: str) -> str:
        match = pattern.match(self.text, self.at)
        if match is None:
            self.fail(f"expected {what}")
        self.at = match.end()
        return match[0]

    def key(self) -> str | None:
        key = self.take(_KEY, "a key (an identifier, or ~ for null)")
        return None if key == "~" else key

    def value(self) -> int | None:
        return None if self.next_is("~") else int(self.take(_INTEGER, "a whole number, or ~ for null"))

    def aggregate(self) -> Value:
        """Read what an aggregate shows: a number, a collection or null."""
        if self.next_is("~"):
            return None
        if not self.next_is("["):
            number = self.take(_AGGREGATE, "a number, [values] or ~ for null")
            return int(number) if _INTEGER.fullmatch(number) else float(number)
        values: list[int | None] = []
        while not self.next_is("]"):
            if values:
                self.must(",", "',' or ']'")
            values.append(self.value())
        return tuple(values)

    def time(self) -> int | None:
        if self.next_is("~"):
            return None
        start = self.at
        number = Fraction(self.take(_NUMBER, "a time"))
        unit = _UNIT.match(self.text, self.at)
        self.at = unit.end() if unit else self.at
        micros = number * _UNITS_US[unit[0] if unit else "s"]
        if micros.denominator != 1:
            self.at = start
            self.fail("a time is a whole number of microseconds")
        return micros.numerator

    def instant(self) -> int:
        start = self.at
        time_us = self.time()
        if time_us is None:
            self.at = start
            self.fail("expected a time, not null")
        return time_us

    def fail(self, problem: str) -> NoReturn:
        raise InvalidNotation(f"{problem} here:\n  {self.text}\n  {' ' * self.at}^")


def _event(scan: _Scanner, id: str) -> Event:
    prefix = re.compile(r"([A-Za-z_][A-Za-z0-9_]*):").match(scan.text, scan.at)
    scan.at = prefix.end() if prefix else scan.at
    key = scan.key()
    if scan.next_is("#"):
        id = scan.take(_NAME, "an id")
    value = int(scan.take(_INTEGER, "a whole number")) if scan.next_is("=") else 1
    scan.must("@")
    time_us = scan.time()
    partition = int(scan.take(_COUNT, "a partition")) if scan.next_is("/") else 0
    return Event(key, time_us, id, value, prefix[1] if prefix else "in", partition)


def _row(scan: _Scanner) -> Row:
    key = scan.key()
    if scan.next_is("["):
        start = scan.instant()
        scan.must(",")
        end = scan.instant()
        scan.must(")")
        return WindowRow(key, start, end, _values(scan))
    if scan.next_is("("):
        left = _ref(scan)
        scan.must(",")
        right = _ref(scan)
        scan.must(")")
        return PairRow(key, left, right)
    if scan.text.startswith("{", scan.at):
        return ValueRow(key, _values(scan))
    id = scan.take(_NAME, "an id") if scan.next_is("#") else ""
    value: int | None = 1
    if scan.next_is("="):
        start = scan.at
        said = scan.aggregate()
        if not id and not scan.text.startswith("@", scan.at):
            return ValueRow(key, (("", said),))
        scan.at = start
        value = scan.value()
    scan.must("@")
    return EventRow(key, id, value, scan.time())


def _figure(scan: _Scanner, name: str) -> Figure:
    match name:
        case "wm":
            return scan.time()
        case "dead":
            return _reasons(scan)
        case _:
            return int(scan.take(_COUNT, "a count"))


def _reasons(scan: _Scanner) -> tuple[str, ...]:
    reasons: list[str] = []
    while not reasons or scan.next_is(","):
        count = int(scan.take(_COUNT, "a count")) if _COUNT.match(scan.text, scan.at) else 1
        if not count:
            break
        if count > 1:
            scan.must("*", "'*' and why these are dead letters")
        start = scan.at
        reason = scan.take(_NAME, "why it is a dead letter")
        if reason not in REASONS:
            scan.at = start
            scan.fail(f"no reason {reason!r}; there are {', '.join(REASONS)}")
        reasons += [reason] * count
    return tuple(sorted(reasons))


def _values(scan: _Scanner) -> Values:
    if scan.next_is("="):
        return (("", scan.aggregate()),)
    scan.must("{")
    values: dict[str, Value] = {}
    while not values or not scan.next_is("}"):
        if values:
            scan.must(" ", "a space or '}'")
        start = scan.at
        name = scan.take(_NAME, "the name of an aggregate")
        if name in values:
            scan.at = start
            scan.fail(f"{name} is named twice")
        scan.must("=")
        values[name] = scan.aggregate()
    return tuple(values.items())


def _ref(scan: _Scanner) -> Ref | None:
    if scan.next_is("_"):
        return None
    time_us = scan.time()
    return Ref(scan.take(_NAME, "an id") if scan.next_is("#") else "", time_us)


def _print_key(key: str | None) -> str:
    return "~" if key is None else key


def _print_values(values: Values) -> str:
    if len(values) == 1:
        return f"={_print_value(values[0][1])}"
    return "{" + " ".join(f"{name}={_print_value(value)}" for name, value in values) + "}"


def _print_value(value: Value) -> str:
    match value:
        case None:
            return "~"
        case tuple():
            return f"[{','.join(map(_print_value, value))}]"
        case _:
            return str(int(value)) if value == int(value) else repr(value)


def _print_ref(ref: Ref | None) -> str:
    if ref is None:
        return "_"
    return f"{print_time(ref.time_us)}{f'#{ref.id}' if ref.id else ''}"
