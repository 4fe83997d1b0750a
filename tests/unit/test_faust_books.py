"""What several workers say of one job: the furthest word holds, and what is nobody's is missed."""

from __future__ import annotations

from typing import Any

from engines.contract import Job
from engines.faust.books import Books
from engines.faust.plan import stage_plans
from semantics.expr import ID
from semantics.pipeline import Aggregate, Emit, KeyBy, Source
from semantics.time import s

STAGES = stage_plans("group", Job("job", Aggregate(Source(), emit=Emit.UPDATE), {"in": "in"}, "out", "dead", 2))
REKEYED = Aggregate(KeyBy(Source(delay=s(1)), ID), emit=Emit.UPDATE)
TWO_STAGES = stage_plans("group", Job("job", REKEYED, {"in": "in"}, "out", "dead", 2))
ASKED = {"job": {("in", 0): 5, ("in", 1): 3}}


def standing(partition: int, at: int, **fields: Any) -> dict[str, Any]:
    said = {"watermark_us": 10, "late": 0, "duplicates": 0, "dead": 0, "rows": 1, "heard": {}}
    places = {"positions": {f"in/{partition}": at}, "end": 2 * at, "commits": at}
    return {"stage": "job", "partition": partition} | said | places | fields


def test_settled_when_every_task_is_known_and_far_enough() -> None:
    books = Books(ASKED, STAGES)
    books.enter([standing(0, 5)])
    assert not books.all_settled
    assert "partition 1 of job is nobody's" in books.missing("job")
    books.enter([standing(1, 2)])
    assert not books.all_settled
    assert books.missing("job") == "in/1 is at 2 of 3"
    books.enter([standing(1, 3)])
    assert books.all_settled
    assert books.ends("job") == {("out", 0): 10, ("out", 1): 6}


def test_of_two_words_on_a_task_the_further_holds_whatever_their_order() -> None:
    books = Books(ASKED, STAGES)
    books.enter([standing(0, 5, late=2, rows=7), standing(1, 3)])
    books.enter([standing(0, 4, late=1, rows=9)])
    assert books.counted("job") == {"late": 2, "duplicates": 0, "dead": 0}
    assert books.progress("job", books.counted("job")).state_rows == 8


def test_a_job_has_a_watermark_when_all_its_tasks_have() -> None:
    books = Books(ASKED, STAGES)
    books.enter([standing(0, 5, watermark_us=7), standing(1, 3, watermark_us=None)])
    assert books.progress("job", {}).watermark_us is None
    books.enter([standing(1, 3, watermark_us=9)])
    assert books.progress("job", {}).watermark_us == 7
    books.enter([standing(1, 4, watermark_us=4)])
    assert books.progress("job", {}).watermark_us == 4


def test_a_stage_is_done_when_it_has_heard_every_commit_of_the_one_before() -> None:
    books = Books(ASKED, TWO_STAGES)
    for number, at in enumerate((5, 3)):
        books.enter([standing(number, at, stage="job-0", watermark_us=1)])
        books.enter([standing(number, 9, positions={}, heard={"job-0": {"0": 5}}, commits=1)])
    assert (
        books.missing("job") == "job/0 has heard 0 of 3 commits of job-0/1, job/1 has heard 0 of 3 commits of job-0/1"
    )
    for number in range(2):
        books.enter([standing(number, 9, positions={}, heard={"job-0": {"0": 5, "1": 3}}, commits=2, watermark_us=7)])
    assert books.all_settled
    assert books.ends("job") == {("out", 0): 18, ("out", 1): 18}
    assert books.progress("job", {}).watermark_us == 7
