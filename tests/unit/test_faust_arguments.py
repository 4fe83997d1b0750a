"""Arguments of the library: each broken rule is one line with argument, value and way out, and nothing is connected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engines.contract import Job
from engines.faust import library
from engines.faust.arguments import InvalidArgument, servers
from engines.faust.plan import stage_plans
from semantics.expr import ID
from semantics.pipeline import Aggregate, Emit, Explode, Function, Join, KeyBy, Source, Union
from semantics.time import s

COUNT = Aggregate(Source(), emit=Emit.UPDATE)
JOIN = Join(Source("L", delay=s(0)), Source("R", delay=s(0)), lo=s(0), hi=s(5))
RIGHT: dict[str, Any] = {
    "name": "visits",
    "pipeline": COUNT,
    "inputs": {"in": "clicks"},
    "output": "out",
    "dead_letters": "dead",
    "partitions": 2,
    "broker": "localhost:9092",
}


def app(folder: Path, **arguments: Any) -> object:
    return library.app(**{"state_dir": str(folder / "state"), **RIGHT, **arguments})


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"pipeline": "count"}, "pipeline: 'count' is no pipeline"),
        ({"inputs": {"other": "clicks"}}, "{'other': 'clicks'} does not name the inputs of the pipeline"),
        ({"inputs": {"in": "clicks", "more": "x"}}, "for each and for no other: {'in': TOPIC}"),
        ({"inputs": {}}, "inputs: {} does not name"),
        ({"inputs": None}, "inputs: None does not name"),
        ({"inputs": "clicks"}, "inputs: 'clicks' does not name"),
        ({"inputs": {"in": "a/b"}}, "inputs['in']: 'a/b' is no name for Kafka"),
        ({"inputs": {"in": ""}}, "inputs['in']: '' is no name"),
        ({"output": "clicks"}, "output: topic 'clicks' is inputs['in'] already"),
        ({"output": None}, "output: None is no name"),
        ({"dead_letters": "out"}, "dead_letters: topic 'out' is output already"),
        ({"dead_letters": "clicks"}, "dead_letters: topic 'clicks' is inputs['in'] already"),
        ({"pipeline": JOIN, "inputs": {"L": "t", "R": "t"}}, "inputs['R']: topic 't' is inputs['L'] already"),
        ({"partitions": 0}, "partitions: 0 is no count"),
        ({"partitions": -1}, "partitions: -1 is no count"),
        ({"partitions": 1.5}, "partitions: 1.5 is no count"),
        ({"partitions": "4"}, "partitions: '4' is no count"),
        ({"partitions": True}, "partitions: True is no count"),
        ({"commit_interval_s": 0}, "commit_interval_s: 0 is out of range"),
        ({"commit_interval_s": -1.0}, "commit_interval_s: -1.0 is out of range"),
        ({"commit_interval_s": float("nan")}, "commit_interval_s: nan is out of range"),
        ({"commit_interval_s": float("inf")}, "commit_interval_s: inf is out of range"),
        ({"commit_interval_s": 11.0}, "Give seconds above 0 and up to 5"),
        ({"commit_interval_s": "1"}, "commit_interval_s: '1' is out of range"),
        ({"broker": "localhost"}, "broker: server 1 of 1 is not HOST:PORT"),
        ({"broker": ""}, "broker: server 1 of 1"),
        ({"broker": "a:1,b"}, "broker: server 2 of 2"),
        ({"broker": "a:1,"}, "broker: server 2 of 2"),
        ({"broker": "a:0"}, "broker: server 1 of 1"),
        ({"broker": "a:65536"}, "broker: server 1 of 1"),
        ({"broker": "a:port"}, "broker: server 1 of 1"),
        ({"broker": "::1:9092"}, "'[::1]:9092' for IPv6"),
        ({"broker": "kafka://a:1"}, "without scheme"),
        ({"broker": None}, "broker: server 1 of 1"),
        ({"name": "a/b"}, "name: 'a/b' is no name for Kafka"),
        ({"name": "../up"}, "name: '../up' is no name"),
        ({"name": ".."}, "name: '..' is no name"),
        ({"name": ""}, "name: '' is no name"),
        ({"name": "zähler"}, "name: 'zähler' is no name"),
        ({"name": "a b"}, "name: 'a b' is no name"),
        ({"name": "a\n"}, "name: 'a\\n' is no name"),
        ({"name": None}, "name: None is no name"),
        ({"name": "n" * 121}, "has 253 characters, Kafka takes 249"),
        ({"output": "visits-visits-changelog"}, "which is a topic of the job. Give another name"),
        ({"pipeline": Aggregate(KeyBy(Source(), ID), emit=Emit.UPDATE), "output": "visits-visits-0-rekeyed"},
         "makes the internal topic visits-visits-0-rekeyed"),
        ({"member": "a/b"}, "member: 'a/b' is no name"),
        ({"member": "m" * 250}, "is no name for Kafka"),
        ({"state_dir": ""}, "state_dir: '' is no path"),
        ({"state_dir": None}, "state_dir: None is no path"),
        ({"state_dir": "a\0b"}, "cannot be made"),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_one_line(tmp_path: Path, arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        app(tmp_path, **arguments)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_is_no_directory_for_state(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(InvalidArgument, match="cannot be made"):
        app(tmp_path)


def test_a_password_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument) as refused:
        app(tmp_path, broker="a:9092,user:secret@b:9092")
    assert "server 2 of 2" in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("broker", ["a:1", "a:1, b:2", "[::1]:9092", "10.0.0.1:65535,[fe80::1%eth0]:1"])
def test_servers_may_be_several_and_of_both_protocols(broker: str) -> None:
    assert servers(broker) == broker.replace(" ", "")


def test_a_pipeline_that_would_repeat_dead_letters_is_refused(tmp_path: Path) -> None:
    parts = Aggregate(KeyBy(Explode(Source(delay=s(0), late_output=True)), ID), emit=Emit.UPDATE)
    with pytest.raises(InvalidArgument, match="cannot run in 2 partitions"):
        app(tmp_path, pipeline=parts)


@pytest.mark.parametrize(
    "pipeline",
    [JOIN, Aggregate(Union((Source("L"), Source("R"))), (Function.COUNT,), emit=Emit.UPDATE)],
    ids=["join", "union"],
)
def test_the_harness_refuses_one_topic_under_two_inputs_too(pipeline: Any) -> None:
    with pytest.raises(InvalidArgument, match="Give each its own topic"):
        stage_plans("group", Job("job", pipeline, {"L": "t", "R": "t"}, "out", "dead", 1))
