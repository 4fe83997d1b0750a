"""When an input is idle."""

from __future__ import annotations

from engines.faust.silence import LOOK_AGAIN_S, Silence


def test_it_is_idle_only_when_the_broker_had_nothing_more_that_much_later() -> None:
    silence = Silence({"L": 3.0})
    silence.heard("L", 10.0)
    silence.heard("R", 10.0)
    assert (silence.overdue(12.9), silence.wait_s(11.0)) == (False, 2.0)
    assert silence.overdue(13.0)
    assert list(silence.fallen(14.0, lambda _: 12.9)) == [], "what it had then is not known"
    assert silence.wait_s(14.0) == LOOK_AGAIN_S
    assert list(silence.fallen(14.0, lambda _: 13.0)) == ["L"]
    assert (silence.overdue(99.0), silence.wait_s(99.0)) == (False, None)


def test_a_record_begins_it_anew() -> None:
    silence = Silence({"L": 3.0})
    silence.heard("L", 10.0)
    silence.heard("L", 12.0)
    assert list(silence.fallen(14.0, lambda _: 14.0)) == []
