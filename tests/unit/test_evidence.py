"""From raw records to judgement and samples: by hand, on nanoseconds small enough to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pytest

from bench.evidence import Evidence, Weighed
from bench.load import Watch
from bench.plan import due_us
from bench.probe import ROWS
from engines.wire import encode_row
from scenarios.scenario import InvalidScenario, Scenario
from semantics.checkers.delivery import Outcome
from semantics.pipeline import Aggregate, Emit, Function, Source, Tumbling
from semantics.rows import Row, ValueRow, WindowRow
from semantics.rules import Sink
from semantics.time import s
from semantics.timeline import SENTINEL_KEY, Event

START = 1_000
SECOND = 1_000_000_000
KEYS = "aaba"


def _events(random: np.random.Generator, due_us: Sequence[int]) -> Iterator[Event]:
    del random
    for number, at in enumerate(due_us):
        yield Event(KEYS[number], at, value=number + 1)


RUNNING = Scenario(
    name="running",
    claim="x",
    pipeline=Aggregate(Source(), (Function.COUNT, Function.SUM), emit=Emit.UPDATE),
    events=_events,
)
WINDOWS = Scenario(
    name="windows",
    claim="x",
    pipeline=Aggregate(Source(delay=s(1)), (Function.COUNT, Function.SUM), window=Tumbling(s(1))),
    events=_events,
)


def weigh(
    work: Scenario,
    rows: Sequence[tuple[Row | bytes, int]],
    since_ns: int = 0,
    unsure: Mapping[str, int] | None = None,
    digest: str = "",
) -> Weighed:
    """Weigh four events, due a second apart and sent 10 ns after, and rows with when they were received."""
    intended = np.arange(4) * SECOND
    watch = Watch()
    list(watch.over(work.generate(1, due_us(intended))))
    values = [row if isinstance(row, bytes) else encode_row(row).value or b"" for row, _ in rows]
    stamped = np.zeros(len(rows), dtype=ROWS)
    stamped["received_ns"] = [START + received for _, received in rows]
    stamped["size"] = [len(value) for value in values]
    evidence = Evidence(
        work=work,
        seed=1,
        start_ns=START,
        intended_ns=intended,
        sent_ns=intended + 10,
        digest=digest or watch.digest,
        rows=stamped,
        values=b"".join(values),
        unsure=unsure or {},
        missing="",
    )
    return evidence.weigh(Sink.EXACTLY_ONCE, since_ns)


def running(key: str, count: int, sum: int) -> ValueRow:
    return ValueRow(key, (("n", count), ("sum", sum)))


def window(key: str, start_s: int, count: int, sum: int) -> WindowRow:
    return WindowRow(key, start_s * 1_000_000, (start_s + 1) * 1_000_000, (("n", count), ("sum", sum)))


# Events: a=1@0 a=2@1 b=3@2 a=4@3. The first two of `a` are told in one row.
UPDATES = [
    (running("a", 2, 3), SECOND + 40),
    (running("b", 1, 3), 2 * SECOND + 50),
    (running("a", 3, 7), 3 * SECOND + 60),
]


def test_updates_are_sampled_by_the_first_row_that_reflects_an_event() -> None:
    weighed = weigh(RUNNING, UPDATES)
    assert weighed.judgement.outcome is Outcome.RIGHT
    assert weighed.keys == 2
    assert weighed.samples is not None
    assert weighed.samples.latency_ns.tolist() == [SECOND + 40, 40, 50, 60]
    assert weighed.samples.slip_ns.tolist() == [10] * 4


def test_what_was_due_in_the_warm_up_is_not_sampled() -> None:
    weighed = weigh(RUNNING, UPDATES, since_ns=2 * SECOND)
    assert weighed.samples is not None
    assert weighed.samples.latency_ns.tolist() == [50, 60]
    assert len(weighed.samples.slip_ns) == 2


# [0,1) closes when an event at 2 comes, [1,2) at 3; the sentinel closes the others.
FINALS: list[tuple[Row | bytes, int]] = [
    (window("a", 0, 1, 1), 2 * SECOND + 30),
    (window("a", 1, 1, 2), 3 * SECOND + 40),
    (window("b", 2, 1, 3), 4 * SECOND),
    (window("a", 3, 1, 4), 4 * SECOND),
    (WindowRow(SENTINEL_KEY, 0, 1_000_000, (("n", 1), ("sum", 1))), 4 * SECOND),
]


def test_final_rows_are_sampled_from_the_event_that_closes_their_window() -> None:
    weighed = weigh(WINDOWS, FINALS)
    assert weighed.judgement.outcome is Outcome.RIGHT
    assert weighed.keys is None
    assert weighed.samples is not None
    assert weighed.samples.latency_ns.tolist() == [30, 40]
    assert len(weighed.samples.slip_ns) == 4


@pytest.mark.parametrize(
    ("work", "rows", "says"),
    [
        (RUNNING, UPDATES[:2], "lost: the last count of a key"),
        (RUNNING, [*UPDATES[:2], (running("a", 3, 8), 3 * SECOND + 60)], "a{n=3 sum=8}, not a{n=3 sum=7}"),
        (RUNNING, [*UPDATES, (b"{", 4 * SECOND)], "a row that is none of this scenario, b'{'"),
        (RUNNING, [*UPDATES, (b"", 4 * SECOND)], "none of this scenario"),
        (RUNNING, [*UPDATES, (b'{"k":"\xff","n":1,"sum":1}', 4 * SECOND)], "none of this scenario"),
        (WINDOWS, FINALS[1:], "a window's final row never came"),
        (WINDOWS, [(window("a", 0, 1, 9), 2 * SECOND + 30), *FINALS[1:]], "a[0,1){n=1 sum=9}, not a[0,1){n=1 sum=1}"),
        (WINDOWS, [(FINALS[0][0], 2 * SECOND + 9), *FINALS[1:]], "read 1 ns before"),
        (WINDOWS, [*FINALS, (b"{}", 5 * SECOND)], "none of this scenario, b'{}'"),
    ],
)
def test_wrong_answers_have_no_samples(work: Scenario, rows: Sequence[tuple[Row | bytes, int]], says: str) -> None:
    weighed = weigh(work, rows)
    assert weighed.judgement.outcome is Outcome.WRONG
    assert weighed.samples is None
    assert says in "; ".join(map(str, weighed.judgement.findings))


def test_sums_are_undecided_where_events_were_not_answered() -> None:
    wrong_sum = [*UPDATES[:2], (running("a", 3, 8), 3 * SECOND + 60)]
    assert weigh(RUNNING, wrong_sum, unsure={"b": 1}).judgement.outcome is Outcome.UNDECIDED


def test_a_generator_that_draws_otherwise_in_another_process_is_found_out() -> None:
    with pytest.raises(InvalidScenario, match="other events in another process"):
        weigh(RUNNING, UPDATES, digest="0" * 64)
