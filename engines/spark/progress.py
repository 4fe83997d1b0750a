"""What Spark's progress reports tell of a query. Pure: reports as parsed JSON, oldest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Told:
    """`late`: rows dropped in the batches after `since`. `rows`: of state after `last`; None if no batch has run."""

    late: int
    rows: int | None
    last: int


def told(reports: Sequence[Mapping[str, Any]], *, since: int) -> Told:
    """Sum up the reports of the batches that were run. A stateless batch has no rows of state: 0."""
    # An idle query reports as well: under the number of the batch that comes next, and with no operators or old ones.
    batches = [report for report in reports if "addBatch" in report["durationMs"]]
    late = sum(_sum(report, "numRowsDroppedByWatermark") for report in batches if report["batchId"] > since)
    if not batches:
        return Told(0, None, since)
    return Told(late, _sum(batches[-1], "numRowsTotal"), max(since, batches[-1]["batchId"]))


def _sum(report: Mapping[str, Any], metric: str) -> int:
    return sum(operator[metric] for operator in report["stateOperators"])
