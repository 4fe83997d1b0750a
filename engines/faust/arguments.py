"""Rules for the arguments of a job. A broken rule is reported before anything is connected or written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path

from engines.contract import Job
from semantics.errors import WeirError
from semantics.pipeline import Pipeline, sources

LONGEST_NAME = 249
"""Characters: Kafka's limit for topics and member names."""
_NAME = re.compile(rf"(?!\.{{1,2}}\Z)[A-Za-z0-9._-]{{1,{LONGEST_NAME}}}")
_SERVER = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]+)?\]):([0-9]{1,5})")


class InvalidArgument(WeirError):
    """An argument breaks a rule; the message holds argument, value, rule and way out."""


def check_job(job: Job) -> None:
    """Raise `InvalidArgument` if pipeline, topics and partitions do not fit together."""
    pipeline: object = job.pipeline
    if not isinstance(pipeline, Pipeline):
        raise InvalidArgument(f"pipeline: {pipeline!r} is no pipeline. Build one of `semantics.pipeline`.")
    partitions: object = job.partitions
    if not isinstance(partitions, int) or isinstance(partitions, bool) or partitions < 1:
        raise InvalidArgument(
            f"partitions: {partitions!r} is no count of 1 or more. Give the partitions that every topic has."
        )
    wanted = {source.name for source in sources(pipeline)}
    inputs: object = job.inputs
    if not isinstance(inputs, Mapping) or set(inputs) != wanted:
        raise InvalidArgument(
            f"inputs: {inputs!r} does not name the inputs of the pipeline. Give a topic for each and for no other: "
            f"{{{', '.join(f'{name!r}: TOPIC' for name in sorted(wanted))}}}."
        )
    topics = {f"inputs[{name!r}]": topic for name, topic in job.inputs.items()}
    topics |= {"output": job.output, "dead_letters": job.dead_letters}
    for argument, topic in topics.items():
        check_name(argument, topic)
    for (one, topic), (other, same) in combinations(topics.items(), 2):
        if topic == same:
            raise InvalidArgument(f"{other}: topic {topic!r} is {one} already. Give each its own topic.")


def check_internal(name: str, internal: Iterable[str], job: Job) -> None:
    """Raise `InvalidArgument` if a topic that the engine makes cannot be made, or is a topic of the job.

    `name`: beginning of the internal topics' names.
    """
    for topic in internal:
        if len(topic) > LONGEST_NAME:
            raise InvalidArgument(
                f"name: {name!r} is too long. The internal topic {topic} has {len(topic)} characters, Kafka takes "
                f"{LONGEST_NAME}. Give a shorter name."
            )
        if topic in (*job.inputs.values(), job.output, job.dead_letters):
            raise InvalidArgument(
                f"name: {name!r} makes the internal topic {topic}, which is a topic of the job. Give another name."
            )


def check_name(argument: str, name: object) -> None:
    """Raise `InvalidArgument` if a name cannot be that of a topic, a group and a directory."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidArgument(
            f"{argument}: {name!r} is no name for Kafka. Give 1 to {LONGEST_NAME} of the letters a-z and A-Z, digits, "
            f"'.', '_' and '-', other than '.' and '..'."
        )


def check_interval(seconds: object, timeout_s: float) -> None:
    """Raise `InvalidArgument` if a commit interval, in seconds, leaves no time for the commit.

    `timeout_s`: transaction time-out, in seconds. Half of it is left for processing and the commit itself.
    """
    longest_s = timeout_s / 2
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 < seconds <= longest_s:
        raise InvalidArgument(
            f"commit_interval_s: {seconds!r} is out of range. Give seconds above 0 and up to {longest_s:g}, half "
            f"of the transaction time-out."
        )


def servers(broker: object) -> str:
    """Return a list of brokers without spaces. Raises `InvalidArgument`, without the value: it may hold a password."""
    each = [server.strip() for server in broker.split(",")] if isinstance(broker, str) else [""]
    for number, server in enumerate(each, 1):
        found = _SERVER.fullmatch(server)
        if found is None or not 0 < int(found[1]) < 1 << 16:
            raise InvalidArgument(
                f"broker: server {number} of {len(each)} is not HOST:PORT. Give servers with commas between, without "
                f"scheme, user or password: 'a:9092,b:9092', or '[::1]:9092' for IPv6."
            )
    return ",".join(each)


def make_dir(state_dir: object) -> str:
    """Make the directory for state; return its path. Raises `InvalidArgument`."""
    if not isinstance(state_dir, str | Path) or not str(state_dir).strip():
        raise InvalidArgument(f"state_dir: {state_dir!r} is no path. Give a directory that outlives the process.")
    try:
        Path(state_dir).mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise InvalidArgument(
            f"state_dir: {str(state_dir)!r} cannot be made ({error}). Give a directory that this user may write."
        ) from error
    return str(state_dir)
