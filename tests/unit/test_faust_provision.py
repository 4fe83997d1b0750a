"""Topics at the start: settings that lose state are refused, new internal topics are awaited, others are not."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import TopicAlreadyExistsError, UnknownTopicOrPartitionError

from engines.contract import Job
from engines.errors import Deadline, EnvironmentNotReady
from engines.faust import provision, topics
from engines.faust.plan import stage_plans
from semantics.expr import ID
from semantics.pipeline import Aggregate, Emit, KeyBy, Source

STAGES = stage_plans("g", Job("j", Aggregate(Source(), emit=Emit.UPDATE), {"in": "in"}, "out", "dead", 1))
REKEYED = stage_plans("g", Job("j", Aggregate(KeyBy(Source(), ID), emit=Emit.UPDATE), {"in": "t"}, "out", "dead", 2))
[CHANGELOG] = topics.internal(STAGES)
UNKNOWN: int = UnknownTopicOrPartitionError.errno


class Admin:
    """A cluster whose brokers learn of new topics after a while."""

    def __init__(self, answers: Iterator[int], *, named: int = 0, policy: str = "compact") -> None:
        self.answers, self.named, self.settings = answers, named, {"cleanup.policy": policy}

    async def start(self) -> None: ...
    async def close(self) -> None: ...

    async def describe_cluster(self) -> Any:
        return {"brokers": [1]}

    async def create_topics(self, asked: list[Any]) -> Any:
        return SimpleNamespace(topic_errors=[(each.name, TopicAlreadyExistsError.errno, "") for each in asked])

    async def describe_topics(self, asked: list[str]) -> Any:
        codes = {CHANGELOG: next(self.answers)}
        return [
            {"topic": name, "error_code": codes.get(name, self.named), "partitions": [{"error_code": 0}]}
            for name in asked
        ]

    async def describe_configs(self, asked: list[Any]) -> Any:
        code = next(self.answers)
        found = [(name, self.settings.get(name, value)) for name, value in asked[0].configs.items()]
        return [SimpleNamespace(resources=[(code, "", 2, CHANGELOG, [] if code else found)])]


async def prepare(monkeypatch: pytest.MonkeyPatch, admin: Admin) -> None:
    monkeypatch.setattr(provision, "AIOKafkaAdminClient", lambda **_: admin)
    monkeypatch.setattr(provision, "LOOK_EVERY_S", 0)
    await provision.prepare("b:1", STAGES, ["in", "out", "dead"], 1)


async def test_a_topic_that_was_just_made_is_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([UNKNOWN, UNKNOWN, 0, UNKNOWN, 0])
    await prepare(monkeypatch, Admin(answers))
    assert next(answers, None) is None


async def test_a_topic_of_the_user_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EnvironmentNotReady, match="There is no topic in: make it, with 1 partitions"):
        await prepare(monkeypatch, Admin(iter([0]), named=UNKNOWN))


async def test_it_is_not_awaited_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provision, "LOOKS", 3)
    with pytest.raises(Deadline, match=CHANGELOG):
        await prepare(monkeypatch, Admin(iter(lambda: UNKNOWN, 0)))


async def test_settings_are_only_told_to_who_may_see_them(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EnvironmentNotReady, match="DESCRIBE_CONFIGS"):
        await prepare(monkeypatch, Admin(iter([0, 29])))


async def test_a_setting_that_loses_state_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EnvironmentNotReady, match=r"--add-config cleanup\.policy=compact"):
        await prepare(monkeypatch, Admin(iter([0, 0]), policy="delete"))


def test_internal_topics_keep_what_state_needs() -> None:
    made = topics.internal(REKEYED)
    assert {name: settings["cleanup.policy"] for name, settings in made.items()} == {
        "g-j-0-changelog": "compact",
        "g-j-changelog": "compact",
        "g-j-0-rekeyed": "delete",
    }
    assert all(not topics.wrong(name, settings, settings, "b:1") for name, settings in made.items())


@pytest.mark.parametrize(
    ("topic", "found", "says"),
    [
        ("g-j-changelog", {"cleanup.policy": "delete"}, "--add-config cleanup.policy=compact"),
        ("g-j-changelog", {"cleanup.policy": "compact,delete"}, "has cleanup.policy=compact,delete"),
        ("g-j-changelog", {"delete.retention.ms": "43199999"}, "--add-config delete.retention.ms=86400000"),
        ("g-j-changelog", {"delete.retention.ms": "43200000"}, ""),
        ("g-j-changelog", {"unclean.leader.election.enable": "true"}, "unclean.leader.election.enable=false"),
        ("g-j-0-rekeyed", {"retention.ms": "604800000"}, "--add-config retention.ms=-1"),
        ("g-j-0-rekeyed", {"retention.bytes": "1"}, "--add-config retention.bytes=-1"),
        ("g-j-0-rekeyed", {"cleanup.policy": "compact", "retention.ms": "1"},
         "has cleanup.policy=compact and retention.ms=1"),
    ],
)  # fmt: skip
def test_a_setting_that_loses_state_comes_with_its_command(topic: str, found: dict[str, str], says: str) -> None:
    wanted = topics.internal(REKEYED)[topic]
    seen = topics.wrong(topic, wanted | found, wanted, "b:1")
    assert says in seen
    assert bool(seen) is bool(says)
    if says:
        assert f"kafka-configs --bootstrap-server b:1 --alter --entity-type topics --entity-name {topic}" in seen
        assert "\n" not in seen
