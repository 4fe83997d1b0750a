"""Planted bugs of the order of commits: mistakes of a process that dies, so that only a kill shows them.

They are lies by design: every variant declares the contract's rules, so that an expectation must catch it. Their code
is in `engines/faust/flaws.py`; this page imports none of the engine's libraries.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bug:
    """What a planted bug does, and the ids of the expectations that must catch it."""

    says: str
    caught_by: tuple[str, ...]


BUGS = {
    "bug-emit-before-commit": Bug(
        "output is visible before state and positions are committed", ("EO-01", "EO-02", "EO-03", "EO-06", "EO-09")
    ),
    "bug-commit-before-emit": Bug("state and positions are committed before output is written", ("EO-10",)),
    "bug-offsets-before-state": Bug("output and positions are committed before the state is", ("EO-10",)),
    "bug-dirty-store": Bug(
        "the local store is written before the commit, and trusted after a crash", ("EO-01", "EO-03", "EO-09")
    ),
    "bug-lost-on-rebalance": Bug(
        "a task that comes to a worker which has no store of it goes on from its position with an empty one",
        ("EO-02", "EO-14", "EO-18", "EO-20"),
    ),
    "bug-partial-batch": Bug("output that fills more than one batch is visible batch by batch", ("EO-09",)),
}
"""By name, as in `faust:<bug>`."""
