"""Writes the class archive with which Spark's JVM starts in half the time: `python -m engines.spark.train`.

Java can keep the classes that a program loaded, parsed and checked, in a file (class data sharing). So this plays a
short stream through every operator, on a broker of its own, and lets Java write the file at the end. It fits one Spark,
class path and Java; where it is missing or does not fit, starting is slower and nothing else.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

from engines import java
from engines.broker.kraft import Broker
from engines.broker.log import KafkaLog
from engines.contract import Job, RunDirs, Settings
from engines.process import remove_dir, scratch_dir
from engines.spark.engine import ENGINE, SparkDeployment
from engines.spark.recipes import jar
from engines.spark.session import archive
from engines.wire import encode_event
from semantics.errors import WeirError
from semantics.expr import VALUE, expr
from semantics.pipeline import (
    Absence,
    Aggregate,
    Dedup,
    Emit,
    Filter,
    Function,
    Hopping,
    How,
    Join,
    Pipeline,
    Select,
    Session,
    Source,
    Tumbling,
    sources,
)
from semantics.time import s
from semantics.timeline import Event

_PIPELINES: dict[str, Pipeline] = {
    "running": Aggregate(Source(), (Function.COUNT, Function.SUM), emit=Emit.UPDATE),
    "window": Aggregate(Source(delay=s(0)), (Function.COUNT, Function.SUM), window=Tumbling(s(10))),
    "hopping": Aggregate(
        Source(delay=s(0)), (Function.MIN, Function.MAX), window=Hopping(s(10), s(5), offset=s(1)), emit=Emit.UPDATE
    ),
    "session": Aggregate(Source(delay=s(0)), window=Session(s(10))),
    "join": Join(Source("L", delay=s(0)), Source("R", delay=s(0)), lo=s(0), hi=s(5), how=How.FULL),
    "dedup": Dedup(Source(delay=s(10)), horizon=s(10)),
    "recipe": Absence(Source(delay=s(0)), after=s(10)),
    "stateless": Filter(Select(Source(), expr(VALUE, "+", 1)), expr(VALUE, ">", 0)),
}
_STEPS_S = (1, 30, 60)
_STEP_WITHIN = timedelta(seconds=120)


async def train(target: Path) -> None:
    """Write the archive to `target`. Raises `EnvironmentNotReady`, `EngineFailed`, `Deadline`."""
    scratch = scratch_dir("train")
    dirs = RunDirs(logs=scratch, durable=scratch / "durable", state=scratch / "state")
    dirs.durable.mkdir()
    dirs.state.mkdir()
    draft = target.with_suffix(".draft")
    try:
        with Broker(logs=scratch) as broker, KafkaLog(broker.bootstrap, prefix="train-") as log:
            jobs = [_job(name, pipeline) for name, pipeline in _PIPELINES.items()]
            log.create({topic: 1 for job in jobs for topic in (*job.inputs.values(), job.output)})
            deployment = SparkDeployment(jobs, log, dirs, Settings(), train=draft)
            await deployment.launch()
            async with deployment:
                for time_s in _STEPS_S:
                    event = encode_event(Event("a", time_s * 1_000_000, f"e{time_s}"))
                    ends = log.append({(topic, 0): [event] for job in jobs for topic in job.inputs.values()})
                    asked = {job.name: {(topic, 0): ends[topic, 0] for topic in job.inputs.values()} for job in jobs}
                    await deployment.settle(asked, within=_STEP_WITHIN)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
        remove_dir(scratch)


def _job(name: str, pipeline: Pipeline) -> Job:
    inputs = {source.name: f"train-{name}-{source.name}" for source in sources(pipeline)}
    return Job(name, pipeline, inputs, f"train-{name}-out", f"train-{name}-dead")


def main() -> int:
    """Write the archive unless it is there; return the exit code, 4 if that failed."""
    try:
        missing = ENGINE.missing()
        if missing:
            print(missing, file=sys.stderr)
            return 4
        target = archive(jar.classpath(), java.find())
        if not target.exists():
            print("Training Spark's class archive, once, about half a minute ...", file=sys.stderr, flush=True)
            asyncio.run(train(target))
        print(f"Spark's class archive: {target} ({target.stat().st_size // 1_000_000} MB)", file=sys.stderr)
    except (WeirError, OSError) as error:
        print(f"No class archive: {error}\nSpark works without, and starts some 4 s slower.", file=sys.stderr)
        return 4
    return 0


if __name__ == "__main__":
    sys.exit(main())
