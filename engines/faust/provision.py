"""Creation of internal topics, and the check of all topics of a job at every start."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code

from engines.errors import Deadline, EnvironmentNotReady
from engines.faust import topics
from engines.faust.outage import patiently
from engines.faust.plan import StagePlan

REPLICAS = 3
"""Replicas of internal topics, where there are as many brokers: they are the state."""
LOOKS, LOOK_EVERY_S = 600, 0.05
"""30 s. A new topic's metadata reaches a broker within milliseconds, on a loaded machine within seconds."""


async def prepare(bootstrap: str, stages: Sequence[StagePlan], named: Collection[str], partitions: int) -> None:
    """Make the internal topics that do not exist; check partitions of all topics, and settings of internal ones.

    `named`: topics that the user makes. Raises `EnvironmentNotReady`, `Deadline`.
    """
    ours = topics.internal(stages)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap.split(","))
    await admin.start()
    try:
        await patiently(partial(_make, admin, ours, partitions))

        def is_unready(topic: Any) -> bool:
            unled = any(partition["error_code"] for partition in topic["partitions"])
            return topic["topic"] in ours and bool(topic["error_code"] or unled)

        for found in await _answers(partial(admin.describe_topics, [*named, *ours]), is_unready):
            count = len(found["partitions"])
            if found["error_code"]:
                raise EnvironmentNotReady(f"There is no topic {found['topic']}: make it, with {partitions} partitions.")
            if count != partitions:
                raise EnvironmentNotReady(topics.miscounted(found["topic"], count, partitions))
        await _check(admin, bootstrap, ours)
    finally:
        await admin.close()


async def check(bootstrap: str, stages: Sequence[StagePlan]) -> None:
    """Check the settings of internal topics that exist. Raises `EnvironmentNotReady`."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap.split(","))
    await admin.start()
    try:
        await _check(admin, bootstrap, topics.internal(stages))
    finally:
        await admin.close()


async def _make(admin: AIOKafkaAdminClient, wanted: Mapping[str, Mapping[str, str]], partitions: int) -> None:
    replicas = min(REPLICAS, len((await admin.describe_cluster())["brokers"]))
    answer = await admin.create_topics(
        [NewTopic(name, partitions, replicas, topic_configs=dict(settings)) for name, settings in wanted.items()]
    )
    for topic, code, *why in answer.topic_errors:
        if code and for_code(code) is not TopicAlreadyExistsError:
            raise EnvironmentNotReady(f"The broker did not make topic {topic}: {for_code(code).__name__} {why}.")


async def _answers(ask: Callable[[], Awaitable[list[Any]]], is_unready: Callable[[Any], bool]) -> list[Any]:
    """Return the broker's answer once no topic is unready; a new one takes a moment. Raises `Deadline`."""
    answers: list[Any] = []
    for _ in range(LOOKS):
        answers = await patiently(ask)
        if not any(map(is_unready, answers)):
            return answers
        await asyncio.sleep(LOOK_EVERY_S)
    raise Deadline(f"Waited {LOOKS * LOOK_EVERY_S:.0f} s for the metadata of new topics; last: {answers}.")


async def _check(admin: AIOKafkaAdminClient, bootstrap: str, wanted: Mapping[str, Mapping[str, str]]) -> None:
    async def ask() -> list[Any]:
        asked = [ConfigResource(ConfigResourceType.TOPIC, name, dict(settings)) for name, settings in wanted.items()]
        [answer] = await admin.describe_configs(asked)
        return list(answer.resources)

    unknown = UnknownTopicOrPartitionError.errno
    for code, why, _, topic, entries in await _answers(ask, lambda told: bool(told[0] == unknown)):
        if code:
            raise EnvironmentNotReady(
                f"The broker does not return the settings of topic {topic} ({for_code(code).__name__}: {why}). Give "
                f"this user the right DESCRIBE_CONFIGS on it."
            )
        found = {name: value for name, value, *_ in entries}
        if reason := topics.wrong(topic, found, wanted[topic], bootstrap):
            raise EnvironmentNotReady(reason)
