"""What a group has committed: a coordinator that cannot say is asked again, and not taken for a group without any."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CoordinatorLoadInProgressError, GroupAuthorizationFailedError

from engines.faust import changelog
from engines.faust.outage import patiently

A, B = TopicPartition("t", 0), TopicPartition("t", 1)


class Admin:
    """A coordinator that gives these answers."""

    def __init__(self, *answers: tuple[int, list[Any]]) -> None:
        self.answers = iter(answers)

    async def find_coordinator(self, group: str) -> int:
        assert group == "g"
        return 1

    async def _send_request(self, _: object, node: int) -> Any:
        assert node == 1
        code, topics = next(self.answers)
        return SimpleNamespace(error_code=code, topics=topics)


async def test_a_coordinator_that_is_still_loading_is_asked_again() -> None:
    loaded = (0, [("t", [(0, 7, "", 0), (1, -1, "", 0)])])
    admin: Any = Admin((CoordinatorLoadInProgressError.errno, []), loaded)
    assert await patiently(lambda: changelog._committed(admin, "g", [A, B])) == {A: 7}


@pytest.mark.parametrize(
    "answer",
    [
        (GroupAuthorizationFailedError.errno, []),
        (0, [("t", [(0, -1, "", GroupAuthorizationFailedError.errno)])]),
    ],
)
async def test_a_refusal_is_raised(answer: tuple[int, list[Any]]) -> None:
    admin: Any = Admin(answer)
    with pytest.raises(GroupAuthorizationFailedError):
        await patiently(lambda: changelog._committed(admin, "g", [A]))
