"""Planning: who shares a deployment, and who plays what at which beat."""

from __future__ import annotations

from itertools import pairwise

from engines.waves import beats, waves
from semantics.catalogue import all_expectations, find
from semantics.timeline import Crash, Restart, Scale

SIZE = 40


def test_everyone_plays_once_and_crashes_alone() -> None:
    planned = waves(all_expectations(), SIZE)
    assert sorted(e.id for wave in planned for e in wave) == sorted(e.id for e in all_expectations())
    assert max(map(len, planned)) <= SIZE
    for wave in planned:
        crashing = [e for e in wave if any(isinstance(step, Crash) for step in e.timeline)]
        assert not crashing or len(wave) == 1


def test_who_needs_no_workers_to_come_and_go_is_not_played_where_they_do() -> None:
    for wave in waves(all_expectations(), SIZE):
        scaling = [e for e in wave if any(isinstance(step, Scale) for step in e.timeline)]
        assert not scaling or scaling == wave


def test_restarts_of_a_wave_are_the_same_and_fall_on_one_beat() -> None:
    for wave in waves(all_expectations(), SIZE):
        for beat in beats([e.timeline for e in wave]):
            kinds = {step for step in (wave[at].timeline[n] for at, n in beat) if isinstance(step, Restart | Scale)}
            assert not kinds or (len(kinds) == 1 and all(wave[at].timeline[step] in kinds for at, step in beat))


def test_every_script_plays_all_of_its_steps_in_order() -> None:
    timelines = [find(id).timeline for id in ("WM-14", "SW-13", "SSJ-16", "WM-01")]
    played = [(at, step) for beat in beats(timelines) for at, step in beat]
    for at, timeline in enumerate(timelines):
        steps = [step for who, step in played if who == at]
        assert steps == list(range(len(timeline)))
        assert all(a < b for a, b in pairwise(steps))


def test_nothing_needs_no_beat() -> None:
    assert beats([]) == []
    assert waves([], SIZE) == []
