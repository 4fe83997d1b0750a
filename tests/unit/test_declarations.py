"""What engines say of themselves: sources for every override, and none at all for our own."""

from __future__ import annotations

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
