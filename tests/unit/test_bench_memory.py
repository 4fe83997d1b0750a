from __future__ import annotations

import numpy as np
import pytest

from bench.memory import over

SECOND = 1_000_000_000


def test_start_end_most_and_slope_are_those_of_the_measured_interval() -> None:
    grown = [(second * SECOND, 100_000_000 + 1_000 * second) for second in range(5, 606)]
    samples = np.array([(0, 7), *grown, (700 * SECOND, 9)])
    found = over(samples, 5 * SECOND, 605 * SECOND)
    assert found is not None
    assert (found.start_bytes, found.end_bytes, found.highest_bytes) == (100_005_000, 100_605_000, 100_605_000)
    assert found.slope_bytes_h == pytest.approx(3_600_000)
    assert str(found) == "100 MB at start, 101 MB at end, 101 MB at most, slope +4 MB/h"


def test_a_short_run_has_no_slope_and_one_without_samples_no_memory() -> None:
    found = over(np.array([(0, 1_000_000), (590 * SECOND, 9_000_000)]), 0, 590 * SECOND)
    assert str(found) == "1 MB at start, 9 MB at end, 9 MB at most, too short for a slope"
    assert over(np.array([(0, 1)]), SECOND, 2 * SECOND) is None


@pytest.mark.parametrize(
    ("sizes", "highest", "left_out"),
    [
        ([100, 110, 220, 112, 115], 115, 1),  # A process between fork and exec.
        ([100, 110, 220, 218, 115], 220, 0),  # Two samples: memory really in use.
        ([100, 110, 160, 112, 115], 160, 0),
        ([220, 100, 110], 220, 0),  # The first has one neighbour: not decidable, so it counts.
        ([220, 110], 220, 0),
    ],
)
def test_a_lone_sample_twice_its_neighbours_is_not_the_maximum(sizes: list[int], highest: int, left_out: int) -> None:
    found = over(np.array([(at * SECOND, size) for at, size in enumerate(sizes)]), 0, 60 * SECOND)
    assert found is not None
    assert (found.highest_bytes, found.left_out) == (highest, left_out)
    assert ("lone samples left out" in str(found)) is bool(left_out)
