"""What Spark's progress reports tell of a query. Pure: reports as parsed JSON, oldest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DEAD = "dead"
"""The name under which Spark counts dead letters."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the batches after `since` dropped, and `dead` letters they wrote. `rows`: of state; None if none has run."""

    late: int
    duplicates: int
    dead: int
    rows: int | None
    last: int


def told(reports: Sequence[Mapping[str, Any]], *, since: int) -> Told:
    """Sum up the reports of the batches that were run. A stateless batch has no rows of state: 0."""
    # An idle query reports as well: under the number of the batch that comes next, and with no operators or old ones.
    batches = [report for report in reports if "addBatch" in report["durationMs"]]
    if not batches:
        return Told(0, 0, 0, None, since)
    after = [report for report in batches if report["batchId"] > since]
    new = [operator for report in after for operator in report["stateOperators"]]
    return Told(
        late=sum(operator["numRowsDroppedByWatermark"] for operator in new),
        duplicates=sum(operator["customMetrics"].get("numDroppedDuplicateRows", 0) for operator in new),
        dead=sum(report.get("observedMetrics", {}).get(DEAD, {}).get("rows", 0) for report in after),
        rows=sum(operator["numRowsTotal"] for operator in batches[-1]["stateOperators"]),
        last=max(since, batches[-1]["batchId"]),
    )
