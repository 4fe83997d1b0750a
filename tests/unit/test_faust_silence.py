"""When an input is idle, and up to when all that had come is processed."""

from __future__ import annotations

import math
import time

from engines.faust.silence import Clock, Processed, Silence


def test_it_is_idle_only_when_all_that_had_come_that_much_later_is_processed() -> None:
    silence = Silence({"L": 3.0})
    silence.heard("L", 10.0)
    silence.heard("R", 10.0)
    assert silence.due == 13.0
    assert list(silence.fallen(lambda _: 12.9)) == [], "what had come then is not known"
    assert list(silence.fallen(lambda _: 13.0)) == ["L"]
    assert silence.due == math.inf


def test_a_record_begins_it_anew() -> None:
    silence = Silence({"L": 3.0})
    silence.heard("L", 10.0)
    silence.heard("L", 12.0)
    assert list(silence.fallen(lambda _: 14.0)) == []


def test_what_was_the_end_is_passed_under_load_too() -> None:
    ends = [(1.0, 100), (2.0, 200), (3.0, 300), (4.0, 300)]
    processed = Processed(lambda _: ends.pop(0))
    assert processed.until("in", 50) == 0.0, "of the first hundred some are left"
    assert processed.until("in", 150) == 1.0, "they are done, though by now there are more"
    assert processed.until("in", 250) == 2.0
    assert processed.until("in", 300) == 4.0, "and at the end the newest word counts"


def test_time_is_the_walls_or_as_it_is_told() -> None:
    assert Clock().at(17.5) == 17.5
    before = time.time()
    clock = Clock(1_000.0)
    assert clock.now() == 1_000.0
    clock.forward(4)
    clock.forward(0.5)
    assert clock.now() == 1_004.5
    assert clock.at(before) == 1_000.0, "what was said before it passed was said then"
