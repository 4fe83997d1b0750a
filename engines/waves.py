"""Which expectations share a deployment, and which step each plays at each beat of it. Pure planning.

Scripts with a crash get a deployment of their own; those that restart, scale or let time pass alike share one, and do
so together: where time counts, it must not pass because others are waited for. Those that do nothing of it
fill all of these up but those that scale.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from semantics.expectation import Expectation
from semantics.timeline import Crash, Idle, Restart, Scale, Step, Timeline


def waves(expectations: Iterable[Expectation], size: int) -> list[list[Expectation]]:
    """Group expectations into deployments of at most so many."""
    plain: list[Expectation] = []
    alone: list[list[Expectation]] = []
    restarting: dict[tuple[Step, ...], list[Expectation]] = defaultdict(list)
    for expectation in expectations:
        harm = tuple(step for step in expectation.timeline if isinstance(step, Crash | Restart | Scale | Idle))
        if any(isinstance(step, Crash) for step in harm):
            alone.append([expectation])
        elif harm:
            restarting[harm].append(expectation)
        else:
            plain.append(expectation)
    shared = [wave for group in restarting.values() for wave in _cut(group, size)]
    for wave in shared:
        if any(isinstance(step, Scale) for step in wave[0].timeline):
            continue  # Workers that come and go can be a heavier deployment: not for those that need none.
        room = size - len(wave)
        wave += plain[:room]
        plain = plain[room:]
    return [*_cut(plain, size), *shared, *alone]


def beats(timelines: Sequence[Timeline]) -> list[list[tuple[int, int]]]:
    """Return, beat by beat, (which timeline, which of its steps): side by side, restarts at the same beat.

    A script that comes early to what it has in common with others waits for them.
    """
    segments = [_segments(timeline) for timeline in timelines]
    found: list[list[tuple[int, int]]] = []
    for number in range(max(map(len, segments), default=0)):
        mine = [(at, of[number]) for at, of in enumerate(segments) if number < len(of)]
        longest = max(len(steps) for _, steps in mine)
        found += [[(at, steps[beat]) for at, steps in mine if beat < len(steps)] for beat in range(longest)]
    return found


def _cut(group: Sequence[Expectation], size: int) -> list[list[Expectation]]:
    return [list(group[at : at + size]) for at in range(0, len(group), size)]


def _segments(timeline: Timeline) -> list[list[int]]:
    """Cut a timeline before each step that is common to a wave; return the numbers of each segment's steps."""
    segments: list[list[int]] = [[]]
    for number, step in enumerate(timeline):
        if isinstance(step, Restart | Scale | Idle):
            segments.append([])
        segments[-1].append(number)
    return segments
