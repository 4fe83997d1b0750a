"""Predictions, remembered by the rules that were read for them: what was never read cannot have changed anything.

The oracle reads rules one by one as it comes to a choice, and nothing else of them. So rules that agree on all that was
read lead it the same way again, whatever they say besides.
"""

from __future__ import annotations

from dataclasses import fields
from enum import Enum
from functools import lru_cache
from typing import TypeAlias, cast

from semantics.oracle.machine import PARTS, Parts
from semantics.oracle.possibilities import Prediction, possibilities
from semantics.pipeline import Pipeline
from semantics.rules import CONTRACT, Rules
from semantics.timeline import Timeline

_SCRIPTS = 1_000
"""Scripts whose predictions are kept: more than the catalogue has. A random test has no use for its last ones."""
_NAMES = frozenset(field.name for field in fields(Rules))
_Known: TypeAlias = dict[tuple[str, ...], dict[tuple[Enum, ...], frozenset[Prediction]]]
"""By the names of the rules that were read, and by their values."""


class _Watched:
    """Rules that note which of them are read. They can do nothing else: what asks for all of them at once fails."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def __getattr__(self, name: str) -> Enum:
        """Read a rule for the first time; from then on it is an attribute."""
        if name not in _NAMES:
            raise AttributeError(f"{name} is no rule")
        value: Enum = getattr(self._rules, name)
        setattr(self, name, value)
        return value

    def read(self) -> tuple[str, ...]:
        return tuple(name for name in vars(self) if name in _NAMES)


def predict(
    pipeline: Pipeline, timeline: Timeline, rules: Rules = CONTRACT, *, parts: Parts = PARTS
) -> frozenset[Prediction]:
    """Return every outcome that an engine with these rules may show.

    A fault changes nothing but what the rules of restarts and `recovered_state` say. Raises `InvalidTimeline`.
    """
    return _look(pipeline, timeline, rules, parts)[1]


def consulted(pipeline: Pipeline, timeline: Timeline, rules: Rules) -> frozenset[str]:
    """Return the rules that were read for a prediction: as long as they stay, it does, whatever the others say."""
    return frozenset(_look(pipeline, timeline, rules, PARTS)[0])


def _look(
    pipeline: Pipeline, timeline: Timeline, rules: Rules, parts: Parts
) -> tuple[tuple[str, ...], frozenset[Prediction]]:
    known = _known(pipeline, timeline, parts)
    for names, predictions in known.items():
        found = predictions.get(tuple(getattr(rules, name) for name in names))
        if found is not None:
            return names, found
    watched = _Watched(rules)
    predicted = possibilities(pipeline, timeline, cast(Rules, watched), parts)
    read = watched.read()
    known.setdefault(read, {})[tuple(getattr(rules, name) for name in read)] = predicted
    return read, predicted


@lru_cache(_SCRIPTS)
def _known(pipeline: Pipeline, timeline: Timeline, parts: Parts) -> _Known:
    del pipeline, timeline, parts
    return {}
