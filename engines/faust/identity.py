"""Identity of the topics that hold a job's input and state: cluster id and topic id.

A topic that was deleted and created again has its old name and offsets, but other records. The same holds for a
topic of another cluster. Kafka gives every topic an id that no other topic ever has (KIP-516).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from engines.errors import EngineFailed
from engines.faust import topics
from engines.faust.plan import StagePlan

CHECK_EVERY_S = 5.0
"""Seconds between two checks of a running worker. One check costs some 3 ms."""
KNOWN_WITHIN_S = 30.0
"""Seconds for which a topic may be unknown. A broker that has just started learns of topics within seconds."""
ANEW = "start the job under another name (consumer group), which reads its inputs from the beginning"
_ASK_AGAIN_S = 0.2
_AWAY = (KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError.REQUEST_TIMED_OUT)


class TopicReplaced(EngineFailed):
    """A topic is not the one that positions or rows refer to."""

    def __init__(self, topic: str, was: str, now: str) -> None:
        """`was`, `now`: "cluster id/topic id"."""
        moved = was.partition("/")[0] != now.partition("/")[0]
        why = "is on another Kafka cluster" if moved else "was deleted and created again"
        super().__init__(
            f"Topic {topic} {why}: its id (cluster/topic) was {was}, and is {now}. Committed offsets and state refer "
            f"to the old topic. To go on, {ANEW}."
        )


class TopicGone(EngineFailed):
    """The broker does not know, or does not show, a topic of the job."""


class PartitionsChanged(EngineFailed):
    """A topic has another number of partitions than the job."""


class Identities:
    """Ids of the input and changelog topics of a worker's jobs; the first ones that were seen stay the right ones.

    `known`: topic -> "cluster id/topic id". A broker without topic ids (before 2.8) tells clusters apart only.
    """

    def __init__(self, bootstrap: str, stages: Iterable[StagePlan]) -> None:
        self.known: dict[str, str] = {}
        self._bootstrap = bootstrap
        self._partitions = {
            topic: stage.partitions for stage in stages for topic in (*stage.inputs.values(), stage.changelog)
        }
        self._admin: AdminClient | None = None

    async def check(self) -> None:
        """Ask the broker for every topic, waiting while no broker answers.

        Raises `TopicReplaced`, `TopicGone`, `PartitionsChanged`.
        """
        loop = asyncio.get_running_loop()
        unknown_since: float | None = None
        while unknown := await self._ask():
            unknown_since = unknown_since or loop.time()
            if loop.time() - unknown_since > KNOWN_WITHIN_S:
                topic, why = next(iter(unknown.items()))
                raise TopicGone(
                    f"Topic {topic} is gone: for {KNOWN_WITHIN_S:.0f} s the broker has answered {why}. To go on, "
                    f"create the topic, and {ANEW}."
                )
            await asyncio.sleep(_ASK_AGAIN_S)

    async def watch(self) -> None:
        """Check every `CHECK_EVERY_S`, without end. Raises as `check` does."""
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            await self.check()

    async def _ask(self) -> dict[str, str]:
        """Compare the broker's answer with `known`; return the errors of topics that have no answer."""
        cluster, *described = await self._answers()
        unknown: dict[str, str] = {}
        for (topic, partitions), found in zip(self._partitions.items(), described, strict=True):
            if isinstance(found, KafkaException):
                unknown[topic] = found.args[0].name()
                continue
            if len(found.partitions) != partitions:
                raise PartitionsChanged(topics.miscounted(topic, len(found.partitions), partitions))
            now = f"{cluster.cluster_id}/{_readable(found.topic_id)}"
            if (was := self.known.setdefault(topic, now)) != now:
                raise TopicReplaced(topic, was, now)
        return unknown

    async def _answers(self) -> list[Any]:
        """Return the descriptions of the cluster and of every topic, or a topic's error in place of its description."""
        if self._admin is None:
            quiet = {"log_level": 2, "reconnect.backoff.max.ms": 500}
            self._admin = AdminClient({"bootstrap.servers": self._bootstrap, **quiet})
        while True:
            described = self._admin.describe_topics(TopicCollection(list(self._partitions)))
            answers = await _all([self._admin.describe_cluster(), *described.values()])
            errors = [answer.args[0].code() for answer in answers if isinstance(answer, KafkaException)]
            if not any(code in _AWAY for code in errors):
                if isinstance(answers[0], KafkaException):
                    raise answers[0]
                return answers


async def _all(futures: Sequence[Future[Any]]) -> list[Any]:
    # Shielded: librdkafka sets results, which a cancelled future refuses.
    shielded = [asyncio.shield(asyncio.wrap_future(future)) for future in futures]
    return await asyncio.gather(*shielded, return_exceptions=True)


def _readable(topic_id: object) -> str:
    """Return a topic id as Kafka's own tools print it."""
    return str(topic_id).translate(str.maketrans("+/", "-_"))
