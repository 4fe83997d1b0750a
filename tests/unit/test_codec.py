from __future__ import annotations

import json

import pytest

from engines.codec import from_json, to_json
from semantics.catalogue import all_expectations
from semantics.errors import InvalidPipeline
from semantics.expectation import Expectation
from semantics.expr import KEY, VALUE, Literal, expr
from semantics.pipeline import Aggregate, Emit, Filter, Function, How, Join, KeyBy, Pipeline, Select, Session, Source
from semantics.time import s

PIPELINES: list[Pipeline] = [
    Source("clicks"),
    Filter(Select(Source(delay=s(0.000001)), expr(VALUE, "*", -2)), expr(expr(KEY, "==", "a"), "or", expr(1, "<", 2))),
    Aggregate(KeyBy(Source(), Literal("k")), (Function.SUM, Function.COUNT), emit=Emit.UPDATE),
    Aggregate(Source(delay=s(5)), window=Session(s(10))),
    Join(Source("L", delay=s(1)), Source("R", delay=s(2)), lo=s(-3), hi=s(86400.5), how=How.LEFT),
]


@pytest.mark.parametrize("pipeline", PIPELINES, ids=lambda pipeline: type(pipeline).__name__)
def test_a_pipeline_survives_the_pipe(pipeline: Pipeline) -> None:
    assert from_json(json.loads(json.dumps(to_json(pipeline)))) == pipeline


@pytest.mark.parametrize("expectation", all_expectations(), ids=lambda expectation: expectation.id)
def test_so_does_every_pipeline_of_the_catalogue(expectation: Expectation) -> None:
    assert from_json(json.loads(json.dumps(to_json(expectation.pipeline)))) == expectation.pipeline


def test_what_comes_out_is_validated_again() -> None:
    data = to_json(Source(delay=s(1)))
    data["delay"]["us"] = -1
    with pytest.raises(InvalidPipeline, match="ahead of its input"):
        from_json(data)
