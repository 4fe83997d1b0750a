"""Planted bugs: mistakes that engines really make, each one part of the machine exchanged.

They are lies by design: every variant declares the contract's rules, so that an expectation must catch it. Bugs of the
order of commits (output before state, state before offsets) need a process that dies: they are planted into `faust`.
"""

from __future__ import annotations

from dataclasses import dataclass

from engines.reference import flaws
from semantics.oracle import PARTS, Parts


@dataclass(frozen=True, slots=True)
class Bug:
    """A planted bug: what it does, and the part that does it."""

    says: str
    parts: Parts


BUGS = {
    "watermark-falls": Bug("the watermark follows the newest event, down too", Parts(clock=flaws.FallingClock)),
    "future-unguarded": Bug("an event from the future moves time, guard or not", Parts(clock=flaws.Unguarded)),
    "delay-twice": Bug("the delay is subtracted twice", Parts(clock=flaws.DelayTwice)),
    "end-inclusive": Bug("an event at a window's end counts in that window", Parts(windows=flaws.EndInclusive)),
    "hop-missed": Bug("a hopping window misses the events of its last slide", Parts(windows=flaws.HopMissed)),
    "negative-misaligned": Bug("windows before 1970 start one too late", Parts(windows=flaws.NegativeMisaligned)),
    "offset-ignored": Bug("windows are aligned as if they had no offset", Parts(windows=flaws.OffsetIgnored)),
    "grace-ignored": Bug(
        "windows and sessions are final at their end, whatever their grace",
        Parts(windows=flaws.WindowGraceIgnored, sessions=flaws.SessionGraceIgnored),
    ),
    "late-by-event-time": Bug(
        "an event below the watermark is dropped while its window is open",
        Parts(windows=flaws.WindowsByEventTime, sessions=flaws.SessionsByEventTime),
    ),
    "min-max-exchanged": Bug(
        "the lowest is the highest, and the other way round",
        Parts(windows=flaws.MinMaxWindows, sessions=flaws.MinMaxSessions, running=flaws.MinMaxRunning),
    ),
    "session-start-lost": Bug("a merged session starts where its latest part does", Parts(sessions=flaws.StartLost)),
    "session-uncut": Bug("a session grows for as long as events come", Parts(sessions=flaws.NeverCut)),
    "one-session": Bug("all open sessions of a key are one", Parts(sessions=flaws.OneSession)),
    "bridge-one-neighbour": Bug(
        "an event between two sessions merges with one of them", Parts(sessions=flaws.OneNeighbour)
    ),
    "low-bound-exclusive": Bug("a pair exactly at a join's lower bound is lost", Parts(join=flaws.LowExclusive)),
    "high-bound-exclusive": Bug("a pair exactly at a join's upper bound is lost", Parts(join=flaws.HighExclusive)),
    "null-twice": Bug("an unmatched row comes out twice", Parts(join=flaws.NullTwice)),
    "null-beside-match": Bug("a matched row comes out null-padded too", Parts(join=flaws.MatchForgotten)),
    "right-unpadded": Bug("unmatched right rows never come out", Parts(join=flaws.RightUnpadded)),
    "match-lost-on-restart": Bug("a restart forgets which rows were matched", Parts(join=flaws.MatchUnsaved)),
    "dedup-extends": Bug("a repeat prolongs the time for which its id is remembered", Parts(dedup=flaws.Extends)),
    "dedup-keeps-last": Bug("of the copies in one batch the last passes", Parts(task=flaws.KeepsLast)),
    "repeat-before-late": Bug("a late copy counts as a repeat", Parts(dedup=flaws.RepeatBeforeLate)),
    "never-evicts": Bug(
        "what is over stays in the state",
        flaws.HoardingParts(),
    ),
    "timers-lost-on-restart": Bug(
        "what was open at a restart is not looked at until something new is due",
        Parts(task=flaws.TimersLost),
    ),
    "lost-update": Bug(
        "two updates of one key in one batch count once",
        Parts(task=flaws.BatchTask, running=flaws.StaleRunning, windows=flaws.StaleWindows),
    ),
    "reorders": Bug("the events of a batch are processed from its end", Parts(task=flaws.Reorders)),
    "poison-dropped": Bug("a record that cannot be used vanishes", Parts(task=flaws.DropsPoison)),
    "late-uncounted": Bug("late events are dropped, and not counted", Parts(task=flaws.LateUncounted)),
}
"""By name, as in `reference:<bug>`."""


def parts(variant: str) -> Parts:
    """Return what the variant's machine is made of."""
    return BUGS[variant].parts if variant else PARTS
