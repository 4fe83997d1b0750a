"""The engine without Weir: a pipeline of yours on your Kafka, as an app that Faust's own command line starts.

    faust -A engines.faust.example worker --without-web

`engines/faust/example.py` is such a program. Start it on as many hosts as there are partitions; each takes its share.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from engines.contract import Job, Profile, Support
from engines.faust import arguments, copartition, declaration, garbage, guard, provision, writer
from engines.faust.plan import (
    COMMIT_INTERVAL_S,
    FETCH_RECORDS,
    SESSION_TIMEOUT_S,
    Guarantee,
    Plan,
    stage_plans,
)
from engines.faust.runtime import App, Runtime
from semantics.pipeline import Pipeline


def app(
    name: str,
    pipeline: Pipeline,
    *,
    inputs: Mapping[str, str],
    output: str,
    dead_letters: str,
    partitions: int,
    broker: str,
    state_dir: str,
    member: str = "",
    commit_interval_s: float = COMMIT_INTERVAL_S,
    standby: bool = False,
) -> App:
    """Return an app that runs the pipeline exactly once. Its topics exist; what is internal it makes itself.

    `name`: the consumer group, and the beginning of every internal topic's and transaction's name: another name is
    another job, which reads its inputs from the start. `inputs`: the pipeline's input names -> topics. `partitions`: of
    every topic. `member`: a name of this worker that no other has; with it, one that was killed takes its old place as
    soon as it starts again, and without it when its session has timed out (6 s). `standby`: keep a copy of the state
    that other workers own, so that whoever takes over has little left to read. Raises `InvalidArgument` before anything
    is connected, `EnvironmentNotReady`.

    Cyclic garbage is collected by hand while the app runs, every 5 s, and automatic collection is off for the whole
    process; at the app's end it is as it was before (`garbage.py`).
    """
    guard.check_shapes()
    arguments.check_name("name", name)
    if member:
        arguments.check_name("member", member)
    arguments.check_interval(commit_interval_s, writer.TRANSACTION_TIMEOUT_MS / 1000)
    broker, job = arguments.servers(broker), Job(name, pipeline, inputs, output, dead_letters, partitions)
    stages = stage_plans(name, job)
    can = declaration.capability(pipeline, partitions)
    if can.support is Support.NOT_IMPLEMENTED:
        raise arguments.InvalidArgument(f"pipeline: it cannot run in {partitions} partitions: {can.reason}.")
    writer.tune()
    plan = Plan(
        bootstrap=broker, group=name, member=member, session_timeout_s=SESSION_TIMEOUT_S,
        guarantee=Guarantee.EXACTLY_ONCE, commit_interval_s=commit_interval_s, fetch_records=FETCH_RECORDS,
        profile=Profile.BENCH, state_dir=arguments.make_dir(state_dir), stages=stages, standby=standby,
    )  # fmt: skip
    runtime = Runtime(plan)
    made = runtime.app

    async def before_start() -> None:
        await provision.prepare(broker, stages, [*inputs.values(), output, dead_letters], partitions)
        await copartition.check(broker, stages)

    made.before_start = before_start
    made.task(partial(garbage.collect, runtime.ready))

    async def close(*_: Any, **__: Any) -> None:
        await runtime.close()

    made.on_before_shutdown.connect(close, weak=False)
    return made
