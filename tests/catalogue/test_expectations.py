"""Every expectation on every engine: `pytest -m semantics --engine faust -k SW-02`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench import matrix
from bench.suite import Result
from semantics.verdict import Value

_NOT_RUN = {Value.NOT_IMPLEMENTED, Value.UNSUPPORTED}


@pytest.mark.semantics
@pytest.mark.timeout(1800)
def test_expectation(cell: Result, pytestconfig: pytest.Config, record_property: Callable[[str, object], None]) -> None:
    value = cell.verdict.value
    record_property("weir_id", cell.expectation.id)
    record_property("weir_engine", cell.engine)
    record_property("weir_verdict", value.value)
    fail_on = pytestconfig.getoption("--fail-on")
    asked = {value.value, "not-run" if value in _NOT_RUN else ""} & set(fail_on)
    if value.fails or asked:
        pytest.fail(matrix.story(cell), pytrace=False)
    if value in _NOT_RUN:
        pytest.skip(f"{value.value}: {cell.verdict.reason}")
