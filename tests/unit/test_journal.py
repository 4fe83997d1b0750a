"""What is written is read back the same; what was damaged is refused with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.errors import CorruptRun, DiskFull
from engines.journal import Journal, read
from semantics.history import (
    Again,
    DeadLetters,
    Entry,
    Letter,
    NotRun,
    Refused,
    Restarted,
    Scaled,
    Seen,
    Sent,
    Settled,
    Struck,
    Undecided,
    Unseen,
)
from semantics.rows import EventRow, PairRow, Ref, ValueRow, WindowRow

ENTRIES: list[Entry] = [
    Sent(step=0, input="in", partition=1, first=3, end=5),
    Seen(step=0, row=WindowRow(None, -5, 10, (("n", 2), ("sum", -9))), partition=0, offset=7),
    Seen(step=0, row=EventRow("<script>\x00é", "e1", 1, None), partition=0, offset=8),
    Seen(step=0, row=PairRow("a", Ref("e1", 5), None), partition=0, offset=9),
    Settled(step=0, watermark_us=None, late=1, dead=0, state=3),
    Struck(step=1, point="after-sink", evidence="12 rows uncommitted", killed=(4, 5), reconstructed=True),
    Restarted(step=1, wiped=True),
    Scaled(step=1, workers=2),
    Refused(error="AnalysisException", message="no"),
    NotRun(support="unsupported", reason="cited"),
    Undecided(step=2, reason="deadline"),
    Undecided(step=2, reason="ended with exit code 70", exception="KeyError: 'a'"),
    Unseen(rows=(ValueRow("a", (("n", 1),)),)),
    DeadLetters(letters=(Letter(reason="late", record="in/0@3", step=1, intact=True),)),
]


def test_reads_back_what_it_wrote(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    journal = Journal(path)
    journal.write("faust", "SW-01", ENTRIES)
    journal.write("spark", "SW-01", ENTRIES[:1])
    journal.close()
    first, second = read(path)
    assert (first.engine, first.expectation, list(first.entries)) == ("faust", "SW-01", ENTRIES)
    assert (second.engine, list(second.entries)) == ("spark", ENTRIES[:1])


def test_what_came_before_a_second_try_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    journal = Journal(path)
    journal.write("faust", "SW-01", [ENTRIES[0], Again(reason="the deployment died"), ENTRIES[4]])
    journal.close()
    assert read(path)[0].entries == (Again(reason="the deployment died"), ENTRIES[4])


def test_records_from_before_exceptions_were_kept_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text(
        '{"schema":2,"engine":"faust","expectation":"SW-01","entry":"Again","reason":"died"}\n'
        '{"schema":2,"engine":"faust","expectation":"SW-01","entry":"Undecided","step":0,"reason":"died again"}\n'
    )
    assert read(path)[0].entries == (Again(reason="died"), Undecided(step=0, reason="died again"))


def test_a_last_line_that_we_died_over_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    journal = Journal(path)
    journal.write("faust", "SW-01", ENTRIES[:2])
    journal.close()
    path.write_bytes(path.read_bytes()[:-9])
    assert list(read(path)[0].entries) == ENTRIES[:1]


@pytest.mark.parametrize("damage", [b"{", b'{"schema":9}', b'{"schema":1,"engine":"x","expectation":"y","entry":"Z"}'])
def test_says_which_line_is_damaged(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "history.jsonl"
    journal = Journal(path)
    journal.write("faust", "SW-01", ENTRIES[:2])
    journal.close()
    with path.open("ab") as file:
        file.write(damage + b"\n")
    with pytest.raises(CorruptRun, match="line 3"):
        read(path)


def test_a_full_disk_is_told_once(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.symlink_to("/dev/full")
    journal = Journal(path)
    with pytest.raises(DiskFull, match=r"history\.jsonl: No space left on device"):
        journal.write("faust", "SW-01", ENTRIES)
    journal.close()
