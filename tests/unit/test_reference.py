"""The reference through the whole harness: player, wire, in-memory log, verdict. What its bugs do: `test_teeth.py`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from engines import registry
from engines.contract import Job, Message, Place, RunDirs, Settings, Status
from engines.errors import UnsupportedPipeline
from engines.journal import Journal
from engines.memory import MemoryLog
from engines.player import Player
from engines.reference.engine import ENGINE, ReferenceDeployment
from engines.wire import encode_event, encode_row, row_decoder
from semantics.catalogue import all_expectations
from semantics.expectation import Demand, Expectation, script
from semantics.notation import parse_demand
from semantics.pipeline import Aggregate, Emit, Function, Join, Pipeline, Session, Source, Tumbling
from semantics.rows import EventRow, PairRow, Ref, Row, ValueRow, WindowRow, sort_key
from semantics.rules import CONTRACT
from semantics.time import T0_US, s
from semantics.timeline import Crash, CrashPoint, Event, Flush, Raw, Send
from semantics.verdict import Value, judge

RUNNING = Aggregate(Source(), emit=Emit.UPDATE)
BOTH = (Function.COUNT, Function.SUM)
SOON = timedelta(seconds=30)


async def verdicts(expectations: list[Expectation], variant: str, folder: Path) -> dict[str, Value]:
    journal = Journal(folder / "history.jsonl")
    player = Player(ENGINE, variant, MemoryLog(), logs=folder, journal=journal)
    histories = await player.play(expectations)
    journal.close()
    return {e.id: judge(e, CONTRACT, histories[e.id]).value for e in expectations}


async def test_a_script_with_a_crash_is_not_run(tmp_path: Path) -> None:
    crashing = [e for e in all_expectations() if any(isinstance(step, Crash) for step in e.timeline)][:3]
    assert set((await verdicts(crashing, "", tmp_path)).values()) == {Value.UNSUPPORTED}


@pytest.mark.parametrize(
    ("pipeline", "step"),
    [
        (Aggregate(Source(delay=s(0)), window=Tumbling(s(10))), "a@1 b@1/1"),
        (Join(Source("L", delay=s(0)), Source("R", delay=s(0)), lo=s(0), hi=s(5)), "L:a@1 R:b@1/1"),
    ],
)
async def test_state_is_demanded_without_the_sentinels(pipeline: Pipeline, step: str, tmp_path: Path) -> None:
    def expectation(id: str, state: int) -> Expectation:
        rows = () if isinstance(pipeline, Join) else parse_demand(["a[0,10)=1 b[0,10)=1"])[0]
        demand = ((Demand(), Demand(rows, {"state": state})),)
        timeline = script(step, Flush(60_000_000))
        return Expectation(id, "nothing is left", pipeline=pipeline, timeline=timeline, demand=demand, because="")

    found = await verdicts([expectation("X-0", 0), expectation("X-1", 1)], "", tmp_path)
    assert found["X-0"] is Value.HOLDS
    assert found["X-1"] is not Value.HOLDS


@pytest.mark.parametrize("variant", ENGINE.variants)
def test_every_variant_declares_the_contract(variant: str) -> None:
    engine, found = registry.get(f"reference:{variant}" if variant else "reference")
    declaration = engine.declaration(found)
    assert (declaration.rules, declaration.overrides, declaration.deviations) == (CONTRACT, (), ())
    assert not declaration.crash_points
    assert declaration.no_crash_because


class Bench:
    """A deployment of one job over a log in memory."""

    def __init__(self, pipeline: Pipeline, folder: Path, *, partitions: int = 1) -> None:
        self.log = MemoryLog()
        inputs = {"in": "in"} if not isinstance(pipeline, Join) else {"L": "L", "R": "R"}
        self.job = Job("job", pipeline, inputs, "out", "dead", partitions)
        self.log.create(dict.fromkeys([*inputs, "out", "dead"], partitions))
        self.decode = row_decoder(pipeline)
        self.dirs = RunDirs(logs=folder, durable=folder, state=folder)
        self.sent: dict[Place, int] = {}

    async def deploy(self, variant: str = "") -> ReferenceDeployment:
        return await ENGINE.deploy([self.job], log=self.log, dirs=self.dirs, settings=Settings(variant=variant))

    def send(self, step: str | Send) -> None:
        (parsed,) = script(step)
        assert isinstance(parsed, Send)
        batches: dict[Place, list[Message]] = {}
        for event in parsed.events:
            batches.setdefault((event.input, event.partition), []).append(encode_event(event))
        self.sent |= self.log.append(batches)

    def rows(self, partition: int = 0) -> list[Row]:
        place = ("out", partition)
        return [self.decode(m.value or b"") for m in self.log.read({place: (0, self.log.ends([place])[place])})[place]]


async def test_settles_with_progress_and_the_ends_of_its_output(tmp_path: Path) -> None:
    bench = Bench(Aggregate(Source(delay=s(0)), window=Tumbling(s(10))), tmp_path)
    async with await bench.deploy() as deployment:
        bench.send("a@1 b@3 a@11 a@2 a@~")
        answer = (await deployment.settle({"job": bench.sent}, within=SOON))["job"]
        assert (answer.status, answer.ends) == (Status.SETTLED, {("out", 0): 2})
        progress = answer.progress
        assert (progress.watermark_us, progress.late, progress.dead) == (T0_US + 11_000_000, 1, 1)
        assert progress.state_rows == (await deployment.state("job")).rows == 1
        again = (await deployment.settle({"job": bench.sent}, within=SOON))["job"]
        assert (again.progress.late, again.progress.dead) == (0, 0)
    assert bench.rows() == [
        WindowRow("a", 0, 10_000_000, (("n", 1),)),
        WindowRow("b", 0, 10_000_000, (("n", 1),)),
    ]


async def test_bad_records_go_to_the_dead_letters_as_they_came(tmp_path: Path) -> None:
    bench = Bench(RUNNING, tmp_path, partitions=2)
    async with await bench.deploy() as deployment:
        bench.send(Send((Raw(b'{"k":', partition=1), Raw(b'{"k":"a","v":1}', partition=1))))
        bench.sent |= bench.log.append({("in", 1): [Message(b"k", None)]})
        answer = (await deployment.settle({"job": bench.sent}, within=SOON))["job"]
        assert answer.progress.dead == 2
    assert [message.value for message in bench.log.read({("dead", 1): (0, 2)})["dead", 1]] == [b'{"k":', b""]
    assert bench.rows(1) == [ValueRow("a", (("n", 1),))]


@pytest.mark.parametrize(
    ("pipeline", "steps"),
    [
        (RUNNING, ["a@0 ~@1", "a@2 ~@3"]),
        (Aggregate(Source(delay=s(5)), BOTH, window=Tumbling(s(10))), ["a@1 ~@2 b@9", "a@3", "z@100"]),
        (Aggregate(Source(delay=s(5)), BOTH, window=Session(s(4))), ["a@1 ~@2 a@9", "a@5", "z@100"]),
        (
            Join(Source("L", delay=s(0)), Source("R", delay=s(0)), lo=s(-2), hi=s(5)),
            ["L:a@1 L:~@2", "R:a@3", "R:z@9 L:z@9"],
        ),
    ],
)
async def test_a_restart_carries_all_state_through_bytes(pipeline: Pipeline, steps: list[str], tmp_path: Path) -> None:
    outputs = []
    for restarting in (False, True):
        folder = tmp_path / str(restarting)
        folder.mkdir()
        bench = Bench(pipeline, folder)
        async with await bench.deploy() as deployment:
            for step in steps:
                bench.send(step)
                await deployment.settle({"job": bench.sent}, within=SOON)
                if restarting:
                    await deployment.restart(wipe_state=True)
            settled = (await deployment.settle({"job": bench.sent}, within=SOON))["job"]
        rows = sorted(bench.rows(), key=sort_key)  # There is no order across keys.
        outputs.append((rows, settled.ends, settled.progress.watermark_us, settled.progress.state_rows))
    assert outputs[0] == outputs[1]


async def test_a_job_that_fails_says_so_and_leaves_the_others_alone(tmp_path: Path) -> None:
    bench = Bench(RUNNING, tmp_path)
    bench.log.create({"in-2": 1, "dead-2": 1})
    broken = Job("broken", RUNNING, {"in": "in-2"}, "nowhere", "dead-2")
    deployment = await ENGINE.deploy([broken, bench.job], log=bench.log, dirs=bench.dirs, settings=Settings())
    async with deployment:
        bench.send("a@0")
        other = bench.log.append({("in-2", 0): [encode_event(event) for event in _events("a@0")]})
        answers = await deployment.settle({"job": bench.sent, "broken": other}, within=SOON)
    assert answers["job"].status is Status.SETTLED
    assert answers["broken"].status is Status.FAILED
    assert "no partition 0 of a topic 'nowhere'" in answers["broken"].detail


async def test_a_settle_that_waits_in_vain_says_how_far_it_came(tmp_path: Path) -> None:
    bench = Bench(RUNNING, tmp_path)
    async with await bench.deploy() as deployment:
        answer = (await deployment.settle({"job": {("in", 0): 7}}, within=timedelta(0)))["job"]
    assert answer.status is Status.DEADLINE
    assert "in/0 at 0 of 7" in answer.detail


async def test_there_is_nothing_to_kill(tmp_path: Path) -> None:
    bench = Bench(RUNNING, tmp_path)
    async with await bench.deploy() as deployment:
        assert deployment.processes() == ()
        for wait in (deployment.arm(CrashPoint.AFTER_SINK), deployment.reached(within=SOON)):
            with pytest.raises(UnsupportedPipeline, match="no process"):
                await wait
        await deployment.stop()
        await deployment.stop()


@pytest.mark.parametrize(
    ("pipeline", "row"),
    [
        (Source(), EventRow("a", "e1", -3, 5)),
        (Source(), EventRow(None, "", 1, None)),
        (Aggregate(Source(delay=s(0)), BOTH, window=Tumbling(s(10))), WindowRow("a", -5, 5, (("n", 2), ("sum", 9)))),
        (Aggregate(Source(), BOTH, emit=Emit.UPDATE), ValueRow(None, (("n", 2), ("sum", 9)))),
        (Join(Source("L"), Source("R"), lo=s(0), hi=s(0)), PairRow("a", Ref("e1", 0), Ref("e2", 5))),
        (Join(Source("L"), Source("R"), lo=s(0), hi=s(0)), PairRow("a", Ref("e1", 0), None)),
    ],
)
def test_rows_survive_the_wire(pipeline: Pipeline, row: Row) -> None:
    message = encode_row(row)
    assert row_decoder(pipeline)(message.value or b"") == row
    assert message.key == (None if row.key is None else b"a")


def _events(notation: str) -> tuple[Event | Raw, ...]:
    (step,) = script(notation)
    assert isinstance(step, Send)
    return step.events
