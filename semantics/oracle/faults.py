"""What state a fault may leave to the worker that takes over."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from semantics.oracle.clocks import Dump
from semantics.oracle.machine import Task
from semantics.oracle.simple import Pass
from semantics.rules import RecoveredState
from semantics.timeline import Crash, CrashPoint, Restart

_ALL_OR_NOTHING = (CrashPoint.BEFORE_PROCESS, CrashPoint.AFTER_PROGRESS)
"""Points at which nothing is processed that is not committed too."""


def harms_state(task: Task) -> bool:
    """Return whether the task may find another state after a fault than that of its last commit."""
    stateless = all(isinstance(node.operator, Pass) for node in task.nodes)
    return task.rules.recovered_state is not RecoveredState.COMMITTED and not stateless


def processed(fault: Crash | Restart) -> bool:
    """Return whether a step's events have all been processed once when the fault strikes, and will be again."""
    return isinstance(fault, Crash) and fault.point not in _ALL_OR_NOTHING


def recovered(committed: Task, ahead: Task, *, wiped: bool) -> Iterator[Task]:
    """Yield the task as it may find itself: `ahead` has processed, and said, what was not committed."""
    before = [node.operator.dump() for node in committed.nodes]
    after = [node.operator.dump() for node in ahead.nodes]
    rule = committed.rules.recovered_state
    for states in product(*(_states(a, b, rule, wiped=wiped) for a, b in zip(after, before, strict=True))):
        found = (committed if list(states) == before else ahead).fork()
        for node, state in zip(found.nodes, states, strict=True):
            node.operator.load(state)
        yield found


def _states(ahead: Dump, committed: Dump, rule: RecoveredState, *, wiped: bool) -> set[Dump]:
    """Return the states that an operator may find; a row of a dump ends with its values."""
    if rule is RecoveredState.AHEAD:
        return {ahead}
    if wiped:
        return {committed, ()}
    before = {row[:-1]: row for row in committed}
    return set(product(*({row, before.get(row[:-1], row)} for row in ahead)))
