"""Operators that know the latest of each key: upsert, absence, lookups in a table of versions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from semantics.expr import Expr
from semantics.oracle.clocks import BEFORE_ALL, Dump
from semantics.oracle.operator import Missed, Operator, row_is_late, time_of
from semantics.oracle.simple import evaluate
from semantics.pipeline import Absence, AsOf, How, Lookup, Upsert, clocked
from semantics.rows import EventRow
from semantics.rules import Rules
from semantics.time import us
from semantics.timeline import Event


class _ByKey(Operator):
    """An operator with one row of state a key: the key's latest event."""

    takes_null_times = False

    def __init__(self, rules: Rules, *, judges: bool) -> None:
        super().__init__()
        self.rules, self.judges = rules, judges
        self.latest: dict[str | None, Event] = {}

    def take(self, event: Event, before: int, side: int) -> Missed | None:
        del side
        if self.judges and row_is_late(time_of(event), before, self.rules):
            return Missed()
        known = self.latest.get(event.key)
        if known is None or time_of(event) >= time_of(known):
            self.latest[event.key] = event
            self.newer(event)
        return None

    def newer(self, event: Event) -> None:
        """Do what follows from a key's new latest event."""

    def held(self) -> Iterator[str | None]:
        return iter(self.latest)

    def dump(self) -> Dump:
        return tuple(sorted(((key, (e.id, e.value, e.time_us)) for key, e in self.latest.items()), key=repr))

    def load(self, dump: Dump) -> None:
        self.latest = {key: Event(key, time_us, id, value) for key, (id, value, time_us) in dump}


class Upserting(_ByKey):
    """The latest version of each key; deletions too, as long as an older version may come."""

    def __init__(self, pipeline: Upsert, rules: Rules) -> None:
        super().__init__(rules, judges=clocked(pipeline.input))
        self.gone = pipeline.gone

    def newer(self, event: Event) -> None:
        self.rows.append(EventRow(event.key, event.id, event.value, event.time_us))

    def close(self, now: int) -> None:
        if self.gone is not None:
            past = [key for key, event in self.latest.items() if evaluate(self.gone, event) and now > time_of(event)]
            for key in past:
                del self.latest[key]


class Watching(_ByKey):
    """The latest event of each key that is not silent yet."""

    def __init__(self, pipeline: Absence, rules: Rules) -> None:
        super().__init__(rules, judges=True)
        self.after_us = us(pipeline.after)

    def close(self, now: int) -> None:
        for key, event in list(self.latest.items()):
            if time_of(event) + self.after_us <= now:
                self.rows.append(EventRow(key, event.id, event.value, time_of(event) + self.after_us))
                del self.latest[key]


class Listening(Operator):
    """The last event to arrive of each key, and for how long it has been the last, in microseconds."""

    def __init__(self, pipeline: Absence) -> None:
        super().__init__()
        self.after_us = us(pipeline.after)
        self.latest: dict[str | None, tuple[Event, int]] = {}

    def take(self, event: Event, before: int, side: int) -> Missed | None:
        del before, side
        self.latest[event.key] = event, 0
        return None

    def close(self, now: int) -> None:
        del now
        for key, (event, silent_us) in list(self.latest.items()):
            if silent_us >= self.after_us:
                self.rows.append(EventRow(key, event.id, event.value, event.time_us))
                del self.latest[key]

    def undecided(self, duration_us: int) -> bool:
        silences = (silent_us + duration_us for _, silent_us in self.latest.values())
        return any(self.after_us < 2 * silent_us < 2 * self.after_us for silent_us in silences)

    def pass_time(self, duration_us: int, *, asleep: bool) -> None:
        self.latest = {key: (event, silent_us + duration_us) for key, (event, silent_us) in self.latest.items()}
        if not asleep:
            self.close(BEFORE_ALL)

    def held(self) -> Iterator[str | None]:
        return iter(self.latest)

    def dump(self) -> Dump:
        rows = ((key, silent_us, (e.id, e.value, e.time_us)) for key, (e, silent_us) in self.latest.items())
        return tuple(sorted(rows, key=repr))

    def load(self, dump: Dump) -> None:
        self.latest = {key: (Event(key, time_us, id, value), since) for key, since, (id, value, time_us) in dump}


class Looking(Operator):
    """The versions of each key in the order of time, and the events that wait for theirs."""

    takes_null_times = False

    def __init__(self, pipeline: Lookup, rules: Rules) -> None:
        super().__init__()
        self.rules, self.gone, self.how = rules, pipeline.gone, pipeline.how
        self.at_once = pipeline.as_of is AsOf.ARRIVAL
        self.versions: dict[str, dict[int, int | None]] = {}
        """By key and time; None: deleted."""
        self.waiting: list[Event] = []

    def take(self, event: Event, before: int, side: int) -> Missed | None:
        time_us = time_of(event)
        if not self.at_once and row_is_late(time_us, before, self.rules):
            return Missed()
        if side == 1:
            if event.key is not None:
                self.version(event.key, time_us, None if _holds(self.gone, event) else event.value)
        elif self.at_once:
            self.answer(event, [*self.versions.get(event.key or "", {}).values()] if event.key is not None else [])
        else:
            self.waiting.append(event)
        return None

    def version(self, key: str, time_us: int, value: int | None) -> None:
        """Take note of a version; by arrival there is but one, the latest."""
        known = self.versions.setdefault(key, {})
        if self.at_once and any(time_us < other for other in known):
            return
        if self.at_once:
            known.clear()
        known[time_us] = value

    def answer(self, event: Event, values: Sequence[int | None]) -> None:
        """Say what an event finds: the last of the values, if any."""
        value = values[-1] if values else None
        if value is not None or self.how is How.LEFT:
            self.rows.append(EventRow(event.key, event.id, value, event.time_us))

    def close(self, now: int) -> None:
        if self.at_once:
            return
        for event in sorted((event for event in self.waiting if time_of(event) < now), key=time_of):
            known = {} if event.key is None else self.versions.get(event.key, {})
            self.answer(event, [known[at] for at in sorted(known) if at <= time_of(event)])
        self.waiting = [event for event in self.waiting if time_of(event) >= now]
        for key, known in list(self.versions.items()):
            past = sorted(at for at in known if at <= now)
            # What is valid now must stay, unless it says that nothing is.
            for at in past if past and known[past[-1]] is None else past[:-1]:
                del known[at]
            if not known:
                del self.versions[key]

    def held(self) -> Iterator[str | None]:
        yield from (key for key, known in self.versions.items() for _ in known)
        yield from (event.key for event in self.waiting)

    def dump(self) -> Dump:
        versions = (("version", key, at, value) for key, known in self.versions.items() for at, value in known.items())
        waiting = (("waiting", e.key, (e.id, e.time_us), e.value) for e in self.waiting)
        return (*sorted(versions), *sorted(waiting, key=repr))

    def load(self, dump: Dump) -> None:
        self.versions, self.waiting = {}, []
        for what, key, at, value in dump:
            if what == "version":
                self.versions.setdefault(key, {})[at] = value
            else:
                self.waiting.append(Event(key, at[1], at[0], value))


def _holds(condition: Expr | None, event: Event) -> bool:
    return condition is not None and bool(evaluate(condition, event))
