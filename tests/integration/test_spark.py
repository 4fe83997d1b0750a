"""Spark on a real broker: what the room's own code promises, beside what the catalogue already plays."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from engines.broker.log import KafkaLog
from engines.contract import Status
from engines.errors import UnsupportedPipeline
from engines.spark.lab import WITHIN, Lab
from engines.warden import group
from semantics.expr import VALUE, expr
from semantics.pipeline import (
    Aggregate,
    Dedup,
    Emit,
    Filter,
    Function,
    Hopping,
    How,
    Join,
    Select,
    Session,
    Source,
    Tumbling,
)
from semantics.time import T0_US, s
from semantics.timeline import CrashPoint

pytestmark = pytest.mark.integration
RUNNING = Aggregate(Source(), emit=Emit.UPDATE)


@pytest.fixture
def bench(broker: str, tmp_path: Path):  # type: ignore[no-untyped-def]  # A factory, closed over the log.
    with KafkaLog(broker, prefix=tmp_path.name) as log:
        yield lambda **pipelines: Lab(log, tmp_path, pipelines)


async def test_every_operator_runs_side_by_side_and_survives_a_restart(bench) -> None:  # type: ignore[no-untyped-def]
    both = Source("L", delay=s(0)), Source("R", delay=s(0))
    jobs: Lab = bench(
        stateless=Filter(Select(Source(delay=s(0)), expr(VALUE, "*", 2)), expr(VALUE, ">", 2)),
        running=Aggregate(Source(), (Function.COUNT, Function.SUM), emit=Emit.UPDATE),
        window=Aggregate(Source(delay=s(0)), window=Tumbling(s(10))),
        session=Aggregate(Source(delay=s(0)), window=Session(s(10))),
        left=Join(*both, lo=s(0), hi=s(5), how=How.LEFT),
        inner=Join(*both, lo=s(0), hi=s(5)),
        timeless=Join(Source("L"), Source("R"), lo=s(0), hi=s(5)),
    )
    await jobs.spark.launch()
    async with jobs.spark:
        for name in ("left", "inner", "timeless"):
            await jobs.send(**{name: "L:a@0 L:b@1"})
        await jobs.send(stateless="a=1@5 a=2@1", running="a=3@1 a=4@2", window="a@1", session="a@1 a@11")
        assert await jobs.rows() == {"stateless": ["a#e2=4@1"], "running": ["a{n=2 sum=7}"]}

        for name in ("left", "inner", "timeless"):
            await jobs.send(**{name: "R:a@3 R:z@60"})
        await jobs.send(window="z@15", session="z@60", running="a=1@0")
        pair = ["a(0#e1,3#e1)"]
        assert await jobs.rows() == {
            "running": ["a{n=3 sum=8}"],
            "window": ["a[0,10)=1"],
            "session": ["a[1,21)=2"],
            "left": pair,
            "inner": pair,
            "timeless": pair,
        }

        await jobs.spark.restart(wipe_state=True)
        after = await jobs.settle()
        assert after["window"].progress.watermark_us == T0_US + 15_000_000
        assert after["timeless"].progress.watermark_us is None
        assert after["left"].progress.state_rows == 4
        for name in ("left", "inner"):
            # Spark forgets what each side has seen, so both must speak again.
            await jobs.send(**{name: "L:z@70 R:z@70"})
        await jobs.send(running="a=1@0", window="a@2 z@25")
        rows = await jobs.rows()
        assert rows["running"] == ["a{n=4 sum=9}"]
        assert rows["window"] == ["z[10,20)=1"]
        assert "b(1#e2,_)" in rows["left"]
        assert (await jobs.settle())["window"].progress.late == 0

        window = next(job.name for job in jobs.spark.jobs if job.name.endswith("-window"))
        size = await jobs.spark.state(window)
        assert size.rows == 1
        assert size.live_bytes
        assert size.restore_bytes
        assert size.disk_bytes is None, "seven jobs share the local directory"


async def test_hopping_windows_and_outer_joins_show_each_row_once(bench) -> None:  # type: ignore[no-untyped-def]
    both = Source("L", delay=s(0)), Source("R", delay=s(0))
    smallest_and_largest = (Function.MIN, Function.MAX)
    jobs: Lab = bench(
        hopping=Aggregate(Source(delay=s(0)), smallest_and_largest, window=Hopping(s(10), s(5), offset=s(2))),
        updates=Aggregate(Source(delay=s(0)), window=Tumbling(s(10), offset=s(3)), emit=Emit.UPDATE),
        right=Join(*both, lo=s(0), hi=s(5), how=How.RIGHT),
        full=Join(*both, lo=s(0), hi=s(5), how=How.FULL),
    )
    await jobs.spark.launch()
    async with jobs.spark:
        await jobs.send(hopping="a=4@1 a=-7@2", updates="a@2 a@3", right="L:a@0 L:b@0", full="L:a@0 L:b@0")
        assert await jobs.rows() == {"hopping": ["a[-8,2){min=4 max=4}"], "updates": ["a[-7,3)=1", "a[3,13)=1"]}
        await jobs.send(hopping="z@60", updates="a@13", right="R:a@5 R:c@5", full="R:a@5 R:c@5")
        assert await jobs.rows() == {
            "hopping": ["a[-3,7){min=-7 max=4}", "a[2,12){min=-7 max=-7}"],
            "updates": ["a[13,23)=1"],
            "right": ["a(0#e1,5#e1)"],
            "full": ["a(0#e1,5#e1)"],
        }
        await jobs.send(updates="a@4", right="L:x@60 R:y@60", full="L:x@60 R:y@60")
        assert await jobs.rows() == {"right": ["c(_,5#e2)"], "full": ["b(0#e2,_)", "c(_,5#e2)"]}
        assert (await jobs.settle())["updates"].progress.late == 0, "told once, by the settle before"


async def test_dedup_counts_what_it_holds_back(bench) -> None:  # type: ignore[no-untyped-def]
    jobs: Lab = bench(dedup=Dedup(Source(delay=s(10)), horizon=s(10)))
    await jobs.spark.launch()
    async with jobs.spark:
        await jobs.send(dedup="a#x@20 a#x@21 b#x@22 ~#x@23 ~#x@24")
        first = (await jobs.settle())["dedup"].progress
        assert (first.duplicates, first.late, first.state_rows) == (2, 0, 3)
        await jobs.send(dedup="a#x@13 a#y@12")
        second = (await jobs.settle())["dedup"].progress
        assert (second.duplicates, second.late, second.state_rows) == (0, 2, 3), "late before repeated, and told once"
        assert await jobs.rows() == {"dedup": ["a#x@20", "b#x@22", "~#x@23"]}


async def test_a_bad_job_fails_alone_and_a_stopped_one_keeps_settle_waiting(bench) -> None:  # type: ignore[no-untyped-def]
    jobs: Lab = bench(
        overflow=Select(Source(), expr(VALUE, "+", 2**63 - 1)),
        good=RUNNING,
        window=Aggregate(Source(delay=s(0)), window=Tumbling(s(10))),
    )
    await jobs.spark.launch()
    async with jobs.spark:
        await jobs.send(overflow="a@1", good="a@1", window="a@1")
        answers = await jobs.settle()
        assert answers["overflow"].status is Status.FAILED
        assert "ARITHMETIC_OVERFLOW" in answers["overflow"].detail
        assert answers["good"].status is answers["window"].status is Status.SETTLED

        # Bad JSON becomes an event of nulls: a window drops it, a running count counts it under the null key.
        await jobs.send(good=b'{"k":', window=b'{"k":')
        answers = await jobs.settle()
        assert answers["good"].progress.state_rows == 2
        assert answers["window"].progress.state_rows == 1

        (child,) = jobs.spark.processes()
        child.pause()
        await jobs.send(good="a@2")
        answers = await jobs.settle(within=timedelta(seconds=1))
        assert answers["good"].status is Status.DEADLINE
        assert "2 of 3" in answers["good"].detail
        child.resume()
        assert (await jobs.settle())["good"].status is Status.SETTLED


async def test_rows_appended_just_before_settle_are_settled(bench) -> None:  # type: ignore[no-untyped-def]
    jobs: Lab = bench(pass_on=Source())
    await jobs.spark.launch()
    async with jobs.spark:
        for number in range(40):
            await jobs.send(pass_on=f"a={number + 2}@1")
            assert await jobs.rows() == {"pass_on": [f"a#e1={number + 2}@1"]}


async def test_what_spark_refuses_is_refused_before_it_reads(bench) -> None:  # type: ignore[no-untyped-def]
    jobs: Lab = bench(session=Aggregate(Source(delay=s(0)), window=Session(s(10)), emit=Emit.UPDATE))
    with pytest.raises(UnsupportedPipeline, match="session window") as refusal:
        await jobs.spark.launch()
    assert refusal.value.error == "STREAMING_OUTPUT_MODE.UNSUPPORTED_OPERATION"
    assert jobs.spark.processes() == ()


async def test_a_kill_between_sink_and_commit_repeats_rows_and_loses_nothing(bench) -> None:  # type: ignore[no-untyped-def]
    jobs: Lab = bench(running=RUNNING)
    await jobs.spark.launch()
    async with jobs.spark:
        await jobs.send(running="a@1 b@1")
        assert await jobs.rows() == {"running": ["a=1", "b=1"]}
        await jobs.spark.arm(CrashPoint.AFTER_SINK)
        await jobs.send(running="a@2 a@3")
        reached = await jobs.spark.reached(within=WITHIN)
        (child,) = jobs.spark.processes()
        members = group(child.pid)
        assert any("java" in process.name() for process in members), "the JVM is in the group that is killed"
        child.kill()
        assert not psutil.wait_procs(members, timeout=10)[1]
        await jobs.spark.restart()
        assert await jobs.rows() == {"running": ["a=3", "a=3"]}, reached
        await jobs.send(running="a@4")
        assert await jobs.rows() == {"running": ["a=4"]}
