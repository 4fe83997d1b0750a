"""Cuts a pipeline where a new key sends events to other partitions: what comes before and after are stages apart.

Each stage has a task a partition. Between two lies an internal topic: written in the transaction of whoever writes,
read like any input. What is stateless stays together, so that only a key that something is kept by costs a topic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from semantics.expr import KEY
from semantics.pipeline import (
    Join,
    KeyBy,
    Lookup,
    Pipeline,
    Source,
    Stateful,
    Union,
    clock,
    inputs,
    nodes,
    rekeyed,
    sources,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A part of a pipeline. The last one is the pipeline's end; others feed an input of a later one."""

    pipeline: Pipeline
    feeds: Mapping[str, int]
    """Input name -> the number of the stage that feeds it, for inputs that are no topic of the job."""


def cut(pipeline: Pipeline, partitions: int) -> list[Stage]:
    """Return the stages, each after those that feed it; one alone if no event can leave its partition."""
    stages: list[Stage] = []
    _cut(pipeline, stages, apart=partitions > 1)
    return stages


def _cut(pipeline: Pipeline, stages: list[Stage], *, apart: bool) -> int:
    """Append the stages of a pipeline; return the last one's number."""
    feeds: dict[str, int] = {}

    def below(node: Pipeline, kept: bool) -> Pipeline:
        """Return the part of the tree that stays in this stage. `kept`: something above it keeps state by key."""
        if isinstance(node, KeyBy) and kept and apart:
            number = _cut(node, stages, apart=apart)
            name = f"rekeyed_{number}_"
            feeds[name] = number
            delay = clock(node)
            if delay is None:
                return Source(name)
            # An input that another stage feeds is idle as soon as that says so: how long it was silent is known there.
            idle = next((each.idle_after for each in sources(node) if each.idle_after is not None), None)
            # Who is late for the first operator it meets, and meets none there, is late here.
            meets = any(isinstance(below, Stateful) for below in nodes(node))
            late_output = not meets and any(each.late_output for each in sources(node))
            return Source(name, delay=timedelta(microseconds=delay), idle_after=idle, late_output=late_output)
        kept = kept or isinstance(node, Stateful)
        streams = inputs(node)
        if kept and apart and any(map(rekeyed, streams)):
            # All that meet are repartitioned: nobody but us knows where a producer has placed a key.
            streams = tuple(stream if rekeyed(stream) else KeyBy(stream, KEY) for stream in streams)
        streams = tuple(below(stream, kept) for stream in streams)
        match node:
            case Source():
                return node
            case Join():
                return replace(node, left=streams[0], right=streams[1])
            case Lookup():
                return replace(node, input=streams[0], table=streams[1])
            case Union():
                return replace(node, inputs=streams)
            case _:
                return replace(node, input=streams[0])

    whole = below(pipeline, kept=False)
    stages.append(Stage(pipeline=whole, feeds=feeds))
    return len(stages) - 1
