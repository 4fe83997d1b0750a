"""Declarations on behalf of engines: sources for every override, and none at all for our own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from engines import registry
from semantics.rules import CONTRACT

EVERY = [
    f"{name}:{variant}" if variant else name for name in registry.names() for variant in registry.get(name)[0].variants
]


def test_our_own_engine_overrides_no_rule_and_declares_no_deviation() -> None:
    declaration = registry.get("faust")[0].declaration()
    assert declaration.rules == CONTRACT
    assert declaration.overrides == ()
    assert declaration.deviations == ()


@pytest.mark.parametrize("name", EVERY)
def test_every_override_cites_a_source(name: str) -> None:
    engine, variant = registry.get(name)
    declaration = engine.declaration(variant)
    assert all(len(override.source) > 20 for override in declaration.overrides)
    assert set(declaration.rules.overridden()) == {override.rule for override in declaration.overrides}
    assert declaration.versions


@pytest.mark.parametrize("worker", ["engines.faust.worker", "engines.faust_stock.worker", "engines.spark.worker"])
def test_a_worker_knows_nothing_of_the_oracle(worker: str) -> None:
    asked = f"import sys, {worker}; print(*(name for name in sys.modules if name.startswith('semantics.oracle')))"
    found = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []
