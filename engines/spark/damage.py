"""What Spark does with a checkpoint that was damaged, or is another query's: `python -m engines.spark.damage`.

Every case is a job of its own that has run some batches and was stopped; then the harm is done, it starts again in a
new JVM, and gets one more step. What it says then is compared with what `engines/spark/harms.py` says, from which
docs/spark-checkpoints.md is written; a test plays them all.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from engines.contract import Log, RunDirs, Status
from engines.spark.declaration import PYSPARK
from engines.spark.engine import SparkDeployment
from engines.spark.harms import CASES, TOKENS, TWO, TWO_TOKENS, Case
from engines.spark.lab import Lab, bench
from engines.spark.variants import SinkKind
from semantics.errors import WeirError

PAGE = Path(__file__).resolve().parents[2] / "docs" / "spark-checkpoints.md"
_WITHIN = timedelta(seconds=60)
_STEPS_MOST = 20
"""Two processes meet in the first or second step."""


async def play(lab: Lab, cases: Mapping[str, Case]) -> dict[str, str]:
    """Return what each case shows: rows in the notation, or the condition with which Spark refuses."""
    # What is there before the start is batch 0: else that may be an empty one.
    await lab.send(**{name: case.before[0] for name, case in cases.items()})
    await lab.spark.launch()
    async with lab.spark:
        await lab.rows()
        for number in range(1, max(len(case.before) for case in cases.values())):
            await lab.send(**{name: case.before[number] for name, case in cases.items() if number < len(case.before)})
            await lab.rows()
        await lab.spark.stop()
        for name, case in cases.items():
            case.harm(lab.path / "durable" / lab.job(name).name)
            if case.changed is not None:
                lab.change(name, case.changed)
        # Sent before the start, so that it does not depend on a race whether a batch that is planned anew finds it.
        await lab.send(**{name: case.last for name, case in cases.items()})
        await lab.spark.restart()
        answers = await lab.settle(within=_WITHIN)
        shown = {}
        for name, answer in answers.items():
            rows = " ".join(sorted(await lab.said(name)))
            if answer.status is Status.SETTLED:
                shown[name] = rows or "nothing"
            else:
                shown[name] = f"{condition(answer.detail)}{f', after {rows}' if rows else ''}"
    return shown


async def play_two(lab: Lab) -> tuple[int, int, int]:
    """Run two processes on one checkpoint until one of them fails. The lab has one job, `one`, a running count.

    Return how many failed, and how many rows were lost and repeated.
    """
    await lab.send(one="a@1")
    await lab.spark.launch()
    async with lab.spark:
        await lab.rows()
        dirs = RunDirs(logs=lab.path / "second", durable=lab.path / "durable", state=lab.path / "second")
        dirs.logs.mkdir()
        second = SparkDeployment(lab.spark.jobs, lab.log, dirs, lab.spark.settings)
        await second.launch()
        async with second:
            failed, steps = 0, 0
            while not failed and steps < _STEPS_MOST:
                steps += 1
                await lab.send(one="a@1")
                both = [(await lab.settle_on(spark, within=_WITHIN))["one"] for spark in (lab.spark, second)]
                failed = sum(answer.status is Status.FAILED for answer in both)
            rows = await lab.said("one")
    due = {f"a={count}" for count in range(2, steps + 2)}
    return failed, len(due - set(rows)), len(rows) - len(set(rows))


def condition(detail: str) -> str:
    """Return the innermost error condition that Spark's message names, or the message itself if it names none."""
    text = detail.partition("terminated with exception: ")[2] or detail
    named = re.findall(r"\[([A-Z][A-Z0-9_]+(?:\.[A-Z0-9_]+)?)\]", text)
    if named:
        return str(named[-1])
    # Without what differs from run to run: where the checkpoint lies, and what a checksum was.
    said = re.sub(r" SQLSTATE.*| at \d+ exp:.*", "", text.partition("\n")[0])
    return re.sub(r"file:/\S*/(?=(?:commits|offsets)/)", "", said)


def page() -> str:
    """Return docs/spark-checkpoints.md."""
    parts = [_HEAD, _table(CASES), _TWO, _TOKENS, _table(TOKENS), f"Seen with pyspark {PYSPARK}."]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _table(cases: Mapping[str, Case]) -> str:
    lines = ["| | what is wrong | right would be | Spark shows | |", "|---|---|---|---|---|"]
    for name, case in cases.items():
        lines.append(f"| {name} | {case.says} | `{case.right}` | `{case.seen}` | {_verdict(case)} |")
    return "\n".join(lines)


def _verdict(case: Case) -> str:
    if case.seen == case.right:
        return "harmless"
    if set(case.right.split()) <= set(case.seen.split()):
        return "repeats"
    rows = case.seen == "nothing" or re.fullmatch(r"(\S*[=@(]\S* ?)+", case.seen)
    return "**silent**" if rows else "refused"


_HEAD = """\
<!-- Written by `python -m engines.spark.damage`, and played by a test: change that, not this page. -->

# Spark and a checkpoint that is not as it was

Every job has run some batches and was stopped. Then the harm is done, one more step is sent, and it is started again in
a new JVM. `a=4` is a running count, `a[0,10)=2` a window, `a(0,5)` a pair. *Refused*: the query fails, with this
condition; it stays where it is until somebody mends the checkpoint. *Repeats*: it says again what it had said, and goes
on rightly. *Silent*: it goes on, and what it says is wrong; nothing tells of it. Names of conditions are Spark's."""
_TWO = """\
## Two processes on one checkpoint

Both run until there is something to do. Then both may do it; one of them fails as it records the batch
(`CONCURRENT_STREAM_LOG_UPDATE`, or a message without a condition), the other goes on. Nothing is lost, but the rows can
come twice: whether they do is a race. Under `spark:txn-sink` they come once, because the second producer fences the
first, and reads its token."""
_TOKENS = """\
## With a token in the sink

The same harms under `spark:txn-sink`. A missing commit does no harm any more. But who deletes the last plan as well, to
get a query going again, changes what is in the batch of that number: the token says that it is written, so what came
to it since is lost. Delete the commit alone. A wiped checkpoint is a new query with no token: it says everything again
rather than nothing."""


async def play_all(log: Log, path: Path) -> dict[str, dict[str, str]]:
    """Play everything, one deployment after the other, below `path`: parts of the page -> case -> what it shows."""

    def lab(name: str, cases: Mapping[str, Case], variant: str = "") -> Lab:
        below = path / f"{path.name}-{name}"
        below.mkdir()
        return Lab(log, below, {name: case.pipeline for name, case in cases.items()}, variant)

    one = {"one": Case(says="", seen="")}
    failed, lost, _ = await play_two(lab("two", one))
    fenced, lost_behind_fence, repeated = await play_two(lab("fenced", one, SinkKind.TRANSACTIONAL.value))
    return {
        "native": await play(lab("native", CASES), CASES),
        "tokens": await play(lab("tokens", TOKENS, SinkKind.TRANSACTIONAL.value), TOKENS),
        # Whether the loser has written before it loses is a race; with a fence it is none.
        "two": {
            "native": f"{failed} fails, {lost} lost",
            "tokens": f"{fenced} fails, {lost_behind_fence} lost, {repeated} repeated",
        },
    }


def expected() -> dict[str, dict[str, str]]:
    """Return what `play_all` returns if nothing has changed."""
    parts = {"native": CASES, "tokens": TOKENS}
    return {part: {name: case.seen for name, case in cases.items()} for part, cases in parts.items()} | {
        "two": {"native": TWO, "tokens": TWO_TOKENS}
    }


async def _play() -> dict[str, dict[str, str]]:
    async with bench() as (log, scratch):
        return await play_all(log, scratch)


def main() -> int:
    """Play all cases, tell of those that were otherwise, write the page; return 1 if there are any."""
    try:
        shown, wanted = asyncio.run(_play()), expected()
    except WeirError as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    changed = [
        f"{part} {name}: {wanted[part][name]!r} is now {what!r}"
        for part, found in shown.items()
        for name, what in found.items()
        if what != wanted[part][name]
    ]
    print("\n".join(changed or ["All as the page says."]))
    PAGE.write_text(page())
    return int(bool(changed))


if __name__ == "__main__":
    sys.exit(main())
