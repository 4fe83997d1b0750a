"""CPU of others, on readings made by hand."""

from __future__ import annotations

import pytest

from bench.busy import Others, Usage, between, busy, usage


def reading(at_s: float, machine_s: float, own_s: float, stolen_s: float = 0.0, foreign_s: float = 0.0) -> Usage:
    return Usage(at_s=at_s, machine_s=machine_s, stolen_s=stolen_s, own_s=own_s, foreign_s=foreign_s)


def test_own_processes_are_not_others_however_busy() -> None:
    found = between(reading(10, 100, 40), reading(20, 119, 58.9), cores=2)
    assert found == Others(cpu=0.005, stolen=0)
    assert busy(found) == ""


def test_a_core_of_others_is_half_of_two() -> None:
    found = between(reading(10, 100, 40), reading(20, 119, 49, stolen_s=0.5), cores=2)
    assert found == Others(cpu=0.5, stolen=0.025)
    assert busy(found) == "other processes used 50% of it and the hypervisor took 2% of it"


def test_others_count_by_the_machines_clock_or_by_theirs_whichever_is_more() -> None:
    hidden = between(reading(0, 100, 50), reading(10, 108, 54, foreign_s=0.1), cores=2)
    unsampled = between(reading(0, 100, 50), reading(10, 104, 54, foreign_s=4), cores=2)
    assert hidden.cpu == unsampled.cpu == 0.2


def test_clocks_that_disagree_by_a_tick_are_no_negative_load() -> None:
    assert between(reading(0, 0, 0), reading(2, 1.00, 1.01), cores=1).cpu == 0


@pytest.mark.parametrize(
    ("others", "says"),
    [
        (Others(cpu=0.05, stolen=0.01), ""),
        (Others(cpu=0.06, stolen=0.01), "other processes used 6% of it"),
        (Others(cpu=0.05, stolen=0.02), "the hypervisor took 2% of it"),
        (None, ""),
    ],
)
def test_a_machine_is_busy_from_5_percent_of_others_or_1_percent_stolen(others: Others | None, says: str) -> None:
    assert busy(others) == says


def test_the_clocks_of_this_machine_can_be_read() -> None:
    before, after = usage(), usage()
    assert after.at_s >= before.at_s
    assert after.machine_s >= before.machine_s > 0
    assert after.own_s >= before.own_s > 0
