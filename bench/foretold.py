"""Predictions: the verdict that follows from an engine's declaration. Nothing is played."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from engines import registry
from engines.contract import Declaration, Support
from semantics.expectation import Expectation
from semantics.oracle import predict
from semantics.pipeline import Source
from semantics.rules import Rules, Sink
from semantics.timeline import Crash
from semantics.verdict import Value, explain, undemanded


@dataclass(frozen=True, slots=True, kw_only=True)
class Foretold:
    """The verdict that a declaration leads one to expect, and why. Several values where a script leaves it open."""

    values: tuple[Value, ...]
    reason: str = ""
    recipe: str = ""
    """Weir's code for this pipeline, where the engine's other pipelines need none, or less."""


def foretell(expectation: Expectation, declared: Declaration) -> Foretold:
    """Return what is to be expected of an engine with this declaration."""
    defect = next((d.cause for d in declared.deviations if d.expectation == expectation.id), "")
    if defect:
        return Foretold(values=(Value.DEVIATES,), reason=defect)
    capability = declared.can(expectation.pipeline, expectation.timeline)
    match capability.support:
        case Support.NOT_IMPLEMENTED:
            return Foretold(values=(Value.NOT_IMPLEMENTED,), reason=capability.reason)
        case Support.UNSUPPORTED:
            value = Value.REFUSES if capability.error else Value.UNSUPPORTED
            return Foretold(values=(value,), reason=capability.reason)
        case _:
            return replace(_by_rules(expectation, declared.rules), recipe=recipe(expectation, declared))


def recipe(expectation: Expectation, declared: Declaration) -> str:
    """Return Weir's code for this pipeline in words; empty where the engine's other pipelines need as much."""
    capability = declared.can(expectation.pipeline, expectation.timeline)
    own = capability.support is Support.RECIPE and capability != declared.capability(Source(), 1)
    return capability.reason if own else ""


def because(expectation: Expectation, rules: Rules) -> str:
    """Return the smallest sets of rules whose return to the contract ends the deviation: "a = X, b = Y or c = Z"."""
    found = explain(expectation, rules)
    return " or ".join(", ".join(f"{name} = {getattr(rules, name).name}" for name in names) for names in found)


def declarations() -> Iterator[tuple[str, Declaration]]:
    """Yield (engine[:variant], declaration) of the engines that run on a broker, each different meaning once.

    Without planted bugs, which are lies.
    """
    for name in registry.names():
        engine, _ = registry.get(name)
        met: list[object] = []
        for variant in engine.variants if engine.needs_broker else ():
            declared = engine.declaration(variant)
            if declared.bug:
                continue
            if (meaning := (declared.rules, declared.deviations)) not in met:
                met.append(meaning)
                yield f"{name}:{variant}" if variant else name, declared


def _by_rules(expectation: Expectation, rules: Rules) -> Foretold:
    predicted = predict(expectation.pipeline, expectation.timeline, rules)
    otherwise = undemanded(expectation, rules)
    if otherwise:
        either = (Value.DEVIATES,) if otherwise == predicted else (Value.HOLDS, Value.DEVIATES)
        return Foretold(values=either, reason=because(expectation, rules))
    struck = any(isinstance(step, Crash) for step in expectation.timeline)
    if struck and rules.sink is Sink.AT_LEAST_ONCE:
        # What a kill repeats depends on what had been written: the oracle has no switch for it.
        return Foretold(values=(Value.HOLDS, Value.DEVIATES), reason=f"sink = {rules.sink.name}")
    return Foretold(values=(Value.HOLDS,))
