"""What is commonly said: a finding follows from records, and from nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import recorded
from bench.claimed import CLAIMS
from bench.claims import Asked, Claim, Finding, Played, Records, claims_page, joined
from bench.readme import results
from bench.recorded import Cell, Recorded, digest
from bench.runs import create
from bench.suite import script_of
from engines import probing
from engines.probing import Answer
from engines.spark.probe import PROBER
from semantics.catalogue import find
from semantics.verdict import Value

RECORDED = Records(recorded.load(), {"spark": probing.load(PROBER.record).answers})
EVERY = [claim for members in CLAIMS.values() for claim in members]
SCRIPT = digest(script_of(find("EO-01")))


def of(value: Value, reason: str = "", script: str = SCRIPT) -> Records:
    cells = {"spark": {"EO-01": Cell(value=value.value, reason=reason, script=script)}}
    answers = {"spark": {"a/b": Answer(yes=False, error="X.Y")}}
    return Records(Recorded(date="2026-01-01", commits=["c"], cells=cells), answers)


def test_claims_have_ids_of_their_own() -> None:
    assert len({claim.id for claim in EVERY}) == len(EVERY)


@pytest.mark.parametrize("claim", EVERY, ids=lambda claim: claim.id)
def test_what_decides_a_claim_exists(claim: Claim) -> None:
    assert claim.evidence
    for evidence in claim.evidence:
        match evidence:
            case Played(id=id):
                assert find(id).id == id
            case Asked(id=id):
                assert id in RECORDED.answers["spark"]


@pytest.mark.parametrize(
    ("evidence", "records", "finding"),
    [
        (Played("spark", "EO-01"), of(Value.HOLDS), Finding.WRONG),
        (Played("spark", "EO-01"), of(Value.DEVIATES, "sink = X"), Finding.RIGHT),
        (Played("spark", "EO-01", Value.DEVIATES, rule="sink"), of(Value.DEVIATES, "sink = X"), Finding.WRONG),
        (Played("spark", "EO-01", Value.DEVIATES, rule="sink"), of(Value.DEVIATES, "other = X"), Finding.UNDECIDED),
        (Played("spark", "EO-01", Value.DEVIATES), of(Value.HOLDS), Finding.RIGHT),
        (Played("spark", "EO-01"), of(Value.UNSUPPORTED), Finding.UNDECIDED),
        (Played("spark", "EO-01"), of(Value.BROKEN), Finding.UNDECIDED),
        (Played("spark", "EO-01"), of(Value.HOLDS, script="another"), Finding.UNDECIDED),
        (Played("faust", "EO-01"), of(Value.HOLDS), Finding.UNDECIDED),
        (Asked("spark", "a/b", wrong_if=False), of(Value.HOLDS), Finding.WRONG),
        (Asked("spark", "a/b", wrong_if=True), of(Value.HOLDS), Finding.RIGHT),
        (Asked("spark", "a/c", wrong_if=True), of(Value.HOLDS), Finding.UNDECIDED),
    ],
)
def test_a_finding_follows_from_what_is_recorded(evidence: Played | Asked, records: Records, finding: Finding) -> None:
    assert records.weigh(evidence)[0] is finding


def test_findings_join() -> None:
    assert joined([]) is Finding.UNDECIDED
    assert joined([Finding.WRONG, Finding.UNDECIDED]) is Finding.WRONG
    assert joined([Finding.WRONG, Finding.RIGHT]) is Finding.PARTLY


def test_the_page_says_what_was_seen_on_each_engine() -> None:
    claim = Claim("X", "It is so.", "posts", (Played("spark", "EO-01", Value.DEVIATES), Played("faust", "EO-01")))
    page = claims_page({"T": (claim,)}, of(Value.DEVIATES, "sink = AT_LEAST_ONCE"), "x 1")
    assert "**spark: wrong.** [EO-01](expectations/eo.md) deviates: sink = AT_LEAST_ONCE<br>" in page
    assert "**faust: undecided.** [EO-01](expectations/eo.md) not recorded with this script |" in page


def test_verdicts_are_kept_with_the_script_that_was_played(tmp_path: Path) -> None:
    run = create(tmp_path, {}, seed=1)
    cell: dict[str, object] = {"expectation": "EO-01", "rules": [], "step": None, "script": script_of(find("EO-01"))}
    run.append("verdicts", {**cell, "engine": "spark", "verdict": "deviates", "reason": "sink = X"})
    run.append("verdicts", {**cell, "engine": "reference", "verdict": "holds", "reason": "it does"})
    run.close()
    kept = recorded.record([run.path])
    assert kept.cells == {"spark": {"EO-01": Cell(value="deviates", reason="sink = X", script=SCRIPT)}}
    recorded.save(kept, tmp_path / "verdicts.json")
    assert recorded.load(tmp_path / "verdicts.json") == kept


def test_verdicts_of_a_variant_stay_until_it_is_played_again(tmp_path: Path) -> None:
    run = create(tmp_path, {}, seed=1)
    cell: dict[str, object] = {"expectation": "EO-01", "rules": [], "step": None, "script": script_of(find("EO-01"))}
    run.append("verdicts", {**cell, "engine": "spark:shipped", "verdict": "deviates", "reason": "new"})
    run.close()
    old, other = (Cell(value="holds", script=SCRIPT), Cell(value="deviates", reason="old", script=SCRIPT))
    before = Recorded(
        date="", commits=["a"], cells={"spark": {"EO-01": old}, "spark:shipped": {"EO-01": other, "EO-02": old},
                                       "spark:once": {"EO-01": other}}
    )  # fmt: skip
    kept = recorded.record([run.path], before)
    assert kept.cells == {
        "spark:shipped": {"EO-01": Cell(value="deviates", reason="new", script=SCRIPT), "EO-02": old},
        "spark:once": {"EO-01": other},
    }
    assert kept.older == {"spark:shipped": ["a"], "spark:once": ["a"]}
    assert "spark:once a." in results([run.path], kept)[1]
