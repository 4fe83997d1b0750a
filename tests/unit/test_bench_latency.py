from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.latency import first_reflections, percentiles, quarters, slip_gate, unsteady


def reflected(keys: list[int], rows: list[tuple[int, int, int]]) -> list[int]:
    occurrences = np.array([keys[: at + 1].count(key) for at, key in enumerate(keys)])
    columns = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return list(first_reflections(np.array(keys), occurrences, *columns.T))


def test_a_row_an_event() -> None:
    assert reflected([7, 7, 9], [(7, 1, 100), (9, 1, 110), (7, 2, 120)]) == [100, 120, 110]


def test_a_row_a_batch_reflects_all_before_it() -> None:
    assert reflected([7, 7, 9, 7], [(7, 2, 100), (9, 1, 110), (7, 3, 120)]) == [100, 100, 110, 120]


def test_a_repeat_does_not_count_but_the_first_does() -> None:
    assert reflected([7, 7], [(7, 1, 100), (7, 2, 110), (7, 1, 120), (7, 2, 130)]) == [100, 110]


def test_what_was_never_reflected_is_minus_one() -> None:
    assert reflected([7, 7, 9], [(7, 1, 100)]) == [100, -1, -1]
    assert reflected([7], []) == [-1]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.data())
def test_the_fast_search_is_the_definition(keys: list[int], data: st.DataObject) -> None:
    seen: dict[int, int] = {}
    rows: list[tuple[int, int, int]] = []
    for key in keys:
        seen[key] = seen.get(key, 0) + 1
        if data.draw(st.booleans()):
            rows.append((key, seen[key], len(rows) * 10))
    naive, passed = [], dict[int, int]()
    for key in keys:
        passed[key] = passed.get(key, 0) + 1
        naive.append(next((at for k, n, at in rows if k == key and n >= passed[key]), -1))
    assert reflected(keys, rows) == naive


def test_percentiles_are_samples_and_their_tails_are_populated() -> None:
    told = percentiles(np.arange(20_000, 0, -1))
    assert told == {"p50": 10_000, "p90": 18_000, "p99": 19_800, "p99.9": 19_980, "max": 20_000}


@pytest.mark.parametrize(
    ("samples", "told"),
    [
        (19_999, ["p50", "p90", "p99", "max"]),
        (2_000, ["p50", "p90", "p99", "max"]),
        (1_999, ["p50", "p90", "max"]),
        (39, ["max"]),
        (0, []),
    ],
)
def test_a_percentile_without_enough_samples_beyond_it_is_refused(samples: int, told: list[str]) -> None:
    assert [name for name, value in percentiles(np.arange(1, samples + 1)).items() if value is not None] == told


@pytest.mark.parametrize(
    ("slip_ms", "latency_ms", "passes"),
    [(2, 1, True), (2.1, 1, False), (2.1, 50, True), (2.1, 41, False), (5, 1000, True), (5.1, 1000, False)],
)
def test_slip_may_be_two_ms_or_five_percent_of_p50_up_to_five_ms(
    slip_ms: float, latency_ms: float, passes: bool
) -> None:
    assert (slip_gate(int(slip_ms * 1e6), int(latency_ms * 1e6)) == "") is passes


def test_without_percentiles_the_gate_cannot_pass() -> None:
    assert "too few events" in slip_gate(None, 10)


def test_quarters_follow_the_course() -> None:
    course = np.repeat([40, 30, 20, 10], 100)
    assert quarters(course) == [40, 30, 20, 10]
    assert quarters(course[:8]) == [None] * 4


@pytest.mark.parametrize(
    ("medians", "says"),
    [
        ([100, 112, 115, 101], ""),
        ([100, 112, 116, 101], "not steady, p50 by quarter"),
        ([40, 30, 20, 10], "longer --warmup"),
        ([10, 20, 30, 40], "falling behind"),
        ([10, 40, 10, 10], "quieter machine"),
        ([None, 40, 10, 10], "steadiness unknown"),
        ([None] * 4, "steadiness unknown"),
    ],
)
def test_medians_of_quarters_are_steady_within_15_percent(medians: list[int | None], says: str) -> None:
    assert says in unsteady(medians)
    assert bool(unsteady(medians)) is bool(says)
