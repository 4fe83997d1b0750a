from __future__ import annotations

from typing import Any

from engines.spark.progress import Told, told


def batch(number: int, *operators: tuple[int, int], repeats: int | None = None) -> dict[str, Any]:
    """A report of a batch that was run; an operator is (rows of state, late rows); `repeats`: a dedup's, held back."""
    own = {} if repeats is None else {"numDroppedDuplicateRows": repeats}
    metrics = [
        {"numRowsTotal": rows, "numRowsDroppedByWatermark": late, "customMetrics": {"rocksdbGetCount": 9, **own}}
        for rows, late in operators
    ]
    return {"batchId": number, "durationMs": {"addBatch": 100, "triggerExecution": 120}, "stateOperators": metrics}


def idle(number: int, *operators: tuple[int, int]) -> dict[str, Any]:
    return batch(number, *operators) | {"durationMs": {"latestOffset": 3, "triggerExecution": 3}}


def test_late_rows_are_summed_over_the_batches_since() -> None:
    reports = [batch(0, (1, 5)), batch(1, (2, 1)), batch(2, (3, 2))]
    assert told(reports, since=0) == Told(late=3, duplicates=0, dead=0, rows=3, last=2)


def test_all_operators_count() -> None:
    assert told([batch(0, (1, 2), (10, 20))], since=-1) == Told(late=22, duplicates=0, dead=0, rows=11, last=0)


def test_nothing_new_keeps_the_rows() -> None:
    assert told([batch(0, (4, 1))], since=0) == Told(late=0, duplicates=0, dead=0, rows=4, last=0)


def test_before_the_first_batch_the_rows_are_not_known() -> None:
    assert told([], since=-1) == Told(late=0, duplicates=0, dead=0, rows=None, last=-1)


def test_an_idle_report_is_no_batch_though_it_carries_the_next_number() -> None:
    # After a restart it has no operators; later, those of the batch before.
    assert told([idle(4)], since=3) == Told(late=0, duplicates=0, dead=0, rows=None, last=3)
    assert told([idle(4), batch(4, (1, 7)), idle(5, (1, 0))], since=3) == Told(
        late=7, duplicates=0, dead=0, rows=1, last=4
    )


def test_a_stateless_query_has_no_rows() -> None:
    assert told([batch(0)], since=-1) == Told(late=0, duplicates=0, dead=0, rows=0, last=0)


def test_repeats_are_summed_over_the_batches_since() -> None:
    reports = [batch(0, (1, 0), repeats=4), batch(1, (1, 0), repeats=2), batch(2, (0, 0), repeats=0)]
    assert told(reports, since=0) == Told(late=0, duplicates=2, dead=0, rows=0, last=2)


def test_dead_letters_are_those_that_were_observed_since() -> None:
    reports = [batch(n, (1, 0)) | {"observedMetrics": {"dead": {"rows": n}}} for n in range(4)]
    assert told(reports, since=1) == Told(late=0, duplicates=0, dead=5, rows=1, last=3)
