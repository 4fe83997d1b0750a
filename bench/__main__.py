"""`python -m bench`: the command line. Results on stdout, progress and errors on stderr.

Exit codes: 0 met, 1 an answer was wrong, or a run folder is corrupt or was altered, 2 usage, 3 inconclusive,
4 environment not ready, 5 disk full, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import msgspec

from bench.plan import SCENARIOS, InvalidPlan, Plan, scenario
from bench.text import LONGEST_PROSE, escaped, plain
from engines import files, registry
from engines.errors import BrokerRefused, BrokerUnavailable, CorruptRun, DiskFull, EnvironmentNotReady
from scenarios.scenario import InvalidScenario
from semantics.errors import UnknownName, WeirError

CORRUPT, USAGE, INCONCLUSIVE, NOT_READY, FULL, INTERRUPTED = 1, 2, 3, 4, 5, 130


class _Parser(argparse.ArgumentParser):
    """A parser whose errors repeat no password, though they repeat arguments."""

    def error(self, message: str) -> NoReturn:
        super().error(re.sub(r"\S+@", "***@", message))


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    top: argparse.ArgumentParser = _Parser(
        prog="python -m bench",
        description="Measure engines under one load on a real Kafka broker; no figure for wrong answers.",
        epilog=__doc__.partition("\n\n")[2] if __doc__ else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = top.add_subparsers(
        dest="command", metavar="[doctor | compare | probe | soak | check | report | explain | list]"
    )
    commands.add_parser("doctor", help="check Java, jars, memory, ports and engines, with the remedy for each")
    compare = commands.add_parser("compare", help="the core expectations and a short benchmark on Faust and Spark")
    compare.add_argument("--all", action="store_true", help="all expectations, engines, planted bugs and scenarios")
    probe = commands.add_parser("probe", help="ask an engine what it runs and refuses, and compare with the record")
    probe.add_argument(
        "--engine", dest="on", required=True, metavar="NAME", help=f"one of {', '.join(registry.names())}"
    )
    probe.add_argument("--only", action="append", default=[], metavar="ID", help="repeatable: such as join/inner")
    probe.add_argument("--record", action="store_true", help="write the answers as those of this version")
    probe.add_argument("--json", dest="as_json", action="store_true", help="the answers on stdout")
    micro = commands.add_parser("micro", help="CPU time per event of our engine beside its peers, answers checked")
    micro.add_argument("--work", action="append", default=[], metavar="NAME", help="repeatable (default: all)")
    micro.add_argument("--peer", action="append", default=[], metavar="NAME", help="repeatable (default: all)")
    micro.add_argument("--runs", type=int, default=3, metavar="N", help="of each (default: 3)")
    soak = commands.add_parser("soak", help="kill an engine again and again at moments of chance, and judge it")
    soak.add_argument("--engine", dest="on", required=True, metavar="NAME", help="one, with :variant")
    soak.add_argument("--kills", type=int, metavar="N", help="of workers (default: 30, or none with --bounces)")
    soak.add_argument(
        "--bounces",
        type=int,
        default=0,
        metavar="N",
        help="of the embedded broker, stop and SIGKILL in turn (default: 0)",
    )
    soak.add_argument(
        "--away",
        type=float,
        default=0.0,
        metavar="S",
        help="seconds between the end and the next start of a bounced broker (default: 0)",
    )
    soak.add_argument("--workers", type=int, default=1, metavar="N", help="default: 1")
    _of_records(commands)
    for command in (top, compare, soak):
        # A subcommand's own default would overwrite what was said before it.
        unsaid = None if command is top else argparse.SUPPRESS
        command.add_argument("--broker", default=unsaid, metavar="HOST:PORT", help="your own Kafka (default: embedded)")
        command.add_argument(
            "--spark-master",
            default=unsaid,
            metavar="spark://HOST:PORT",
            help="Spark on this standalone cluster",
        )
        command.add_argument(
            "--output", default=unsaid or Path("runs"), type=Path, metavar="DIR", help="default: runs/"
        )
        command.add_argument(
            "--seed", default=unsaid or 1, type=int, metavar="N", help="of all randomness (default: 1)"
        )
    engines = f"{', '.join(registry.names())}, each with :variant, or all that are installed"
    top.add_argument("--engine", action="append", default=[], metavar="NAME", help=f"repeatable: {engines}")
    top.add_argument("--bug", action="append", default=[], metavar="NAME", help="short for --engine reference:NAME")
    top.add_argument(
        "--scenario",
        default="running-count",
        metavar="NAME",
        help=f"{' or '.join(SCENARIOS)}, or a file of your own: ./mine.py (default: running-count)",
    )
    top.add_argument("--rate", type=float, default=2000, metavar="N", help="events a second (default: 2000)")
    top.add_argument("--duration", type=float, default=20, metavar="S", help="seconds measured (default: 20)")
    top.add_argument("--warmup", type=float, metavar="S", help="seconds before (default: as declared for the engine)")
    top.add_argument("--partitions", type=int, default=2, metavar="N", help="of each topic (default: 2)")
    top.add_argument("--runs", type=int, default=1, metavar="N", help="of each engine, interleaved (default: 1)")
    top.add_argument("--json", action="store_true", help="machine-readable result on stdout")
    return top


def _of_records(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands that run nothing: they read the catalogue, declarations and run folders."""
    check = commands.add_parser("check", help="judge a recorded run again, without any engine")
    report = commands.add_parser("report", help="write report.html of a recorded run, one file to look at and send")
    for command in (check, report):
        command.add_argument("run", type=Path, metavar="RUN", help="a run folder: runs/...")
    explain = commands.add_parser("explain", help="one expectation on one engine: script, three answers, rule, source")
    explain.add_argument("id", metavar="ID", help="such as SW-07")
    explain.add_argument("--engine", dest="on", required=True, metavar="NAME", help="one of those that `list` shows")
    explain.add_argument("--run", type=Path, metavar="RUN", help="the run to explain (default: the newest that has it)")
    listing = commands.add_parser("list", help="the catalogue, with predictions from each engine's declaration")
    listing.add_argument("--family", metavar="NAME", help="such as SW")
    listing.add_argument("--engine", dest="on", action="append", default=[], metavar="NAME", help="repeatable")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    asked = parser().parse_args(argv)
    try:
        code = _run(asked)
        sys.stdout.flush()
        return code
    except (InvalidPlan, InvalidScenario) as error:
        return _fail(error, USAGE)
    except UnknownName as error:
        return _fail(plain(str(error), LONGEST_PROSE), USAGE)
    except (EnvironmentNotReady, BrokerUnavailable, BrokerRefused) as error:
        return _fail(error, NOT_READY)
    except CorruptRun as error:
        return _fail(plain(f"corrupt run: {error}", LONGEST_PROSE), CORRUPT)
    except DiskFull as error:
        return _fail(error, FULL)
    except WeirError as error:
        return _fail(error, INCONCLUSIVE)
    except BrokenPipeError:
        # Whoever read our output (head, less) has seen enough; the interpreter's last flush must not fail on it.
        _close_stdout()
        return 0
    except OSError as error:
        if error.errno not in files.FULL:
            raise
        _close_stdout()
        return _fail(f"A file cannot be written: {error.strerror}. Make room under --output and TMPDIR.", FULL)
    except KeyboardInterrupt:
        print("Interrupted; what was started is stopped. The run folder, if any, is marked partial.", file=sys.stderr)
        return INTERRUPTED


def _run(asked: argparse.Namespace) -> int:
    if getattr(asked, "spark_master", None):
        from engines.spark.cluster import MASTER

        # Not an argument of every layer between: it says where Spark runs, as JAVA_HOME says where Java is.
        os.environ[MASTER] = asked.spark_master
    # Imported when needed: asking for help must not load a Kafka client.
    match asked.command:
        case "doctor":
            from bench.doctor import main as doctor

            return doctor()
        case "compare":
            from bench import compare

            extent = compare.everything() if asked.all else compare.core()
            return compare.main(broker=asked.broker, output=asked.output, seed=asked.seed, extent=extent)
        case "probe":
            from bench.probing import main as probe

            return probe(asked.on, only=asked.only, record=asked.record, as_json=asked.as_json)
        case "micro":
            from bench.micro.main import main as micro
            from bench.show import progress

            with progress() as say:
                return micro(
                    works=asked.work, peers=asked.peer, count=asked.runs, output=asked.output, seed=asked.seed, say=say
                )
        case "soak":
            from bench.show import progress
            from bench.soak import Asked
            from bench.soak import main as soak

            with progress() as say:
                return soak(
                    Asked(
                        engine=asked.on, kills=asked.kills, bounces=asked.bounces, away_s=asked.away,
                        workers=asked.workers, broker=asked.broker, output=asked.output, seed=asked.seed,
                    ),
                    say,
                )  # fmt: skip
        case "check":
            from bench.check import main as check

            return check(asked.run)
        case "report":
            from bench.report import main as report

            return report(asked.run)
        case "explain":
            from bench.explain import main as explain

            return explain(asked.id, asked.on, run=asked.run, output=asked.output)
        case "list":
            from bench.listing import main as listing

            return listing(family=asked.family, engines=asked.on)
        case _:
            return _bench(asked)


def _bench(asked: argparse.Namespace) -> int:
    from bench.measure import run_plan
    from bench.show import progress, show

    named = [*asked.engine, *(f"reference:{bug}" for bug in asked.bug)]
    if not named:
        raise InvalidPlan(f"Name an engine: --engine {' | '.join(registry.names())} | all.")
    plan = Plan(
        engines=_engines(named),
        scenario=scenario(asked.scenario),
        rate=asked.rate,
        duration_s=asked.duration,
        warmup_s=asked.warmup,
        partitions=asked.partitions,
        broker=asked.broker,
        output=asked.output,
        seed=asked.seed,
        runs=asked.runs,
    )
    with progress() as say:
        say("rehearsing the load")
        plan.rehearse()
        done = run_plan(plan, say)
    if asked.json:
        print(msgspec.json.encode(done.record()).decode())
    else:
        show(done)
    return done.exit_code


def _engines(named: Sequence[str]) -> tuple[str, ...]:
    """Expand `all`; keep the order, each once."""
    names = [name for asked in named for name in (registry.installed() if asked == "all" else (asked,))]
    return tuple(dict.fromkeys(names))


def _fail(error: Exception | str, code: int) -> int:
    print(f"error: {escaped(str(error))}", file=sys.stderr)
    return code


def _close_stdout() -> None:
    """Keep the interpreter's last flush from failing: nobody reads on, or nothing more can be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
