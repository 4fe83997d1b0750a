from __future__ import annotations

import numpy as np
import pytest

from bench.memory import over

SECOND = 1_000_000_000


def test_start_end_most_and_slope_are_those_of_the_measured_interval() -> None:
    grown = [(second * SECOND, 100_000_000 + 1_000 * second) for second in range(5, 106)]
    samples = np.array([(0, 7), *grown, (200 * SECOND, 9)])
    found = over(samples, 5 * SECOND, 105 * SECOND)
    assert found is not None
    assert (found.start_bytes, found.end_bytes, found.highest_bytes) == (100_005_000, 100_105_000, 100_105_000)
    assert found.slope_bytes_h == pytest.approx(3_600_000)
    assert str(found) == "100 MB at start, 100 MB at end, 100 MB at most, slope +4 MB/h"


def test_a_short_run_has_no_slope_and_one_without_samples_no_memory() -> None:
    found = over(np.array([(0, 1_000_000), (20 * SECOND, 9_000_000)]), 0, 20 * SECOND)
    assert str(found) == "1 MB at start, 9 MB at end, 9 MB at most, too short for a slope"
    assert over(np.array([(0, 1)]), SECOND, 2 * SECOND) is None
