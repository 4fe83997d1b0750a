"""Pipelines as JSON: how an adapter hands a job's pipeline to its engine's process.

A dataclass becomes {"is": its name, fields...}, an enum {"is": its name, "value": ...}, a duration {"us": n}.
Decoding constructs the values again, so they are validated again.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from datetime import timedelta
from enum import Enum
from typing import Any

from semantics import expr, pipeline
from semantics.pipeline import Pipeline
from semantics.time import us

_TYPES: dict[str, Any] = {
    cls.__name__: cls
    for module in (pipeline, expr)
    for cls in vars(module).values()
    if isinstance(cls, type) and (is_dataclass(cls) or issubclass(cls, Enum))
}


def to_json(value: Pipeline) -> Any:
    """Return the pipeline as what `json.dumps` takes."""
    return _encode(value)


def from_json(data: Any) -> Pipeline:
    """Return the pipeline that `to_json` encoded. Raises `InvalidPipeline`, and `KeyError` on an unknown type."""
    value: Pipeline = _decode(data)
    return value


def _encode(value: Any) -> Any:
    if is_dataclass(value):
        return {"is": type(value).__name__, **{f.name: _encode(getattr(value, f.name)) for f in fields(value)}}
    match value:
        case Enum():
            return {"is": type(value).__name__, "value": value.value}
        case timedelta():
            return {"us": us(value)}
        case tuple():
            return [_encode(item) for item in value]
        case _:
            return value


def _decode(data: Any) -> Any:
    match data:
        case {"us": micros}:
            return timedelta(microseconds=micros)
        case dict():
            return _TYPES[data["is"]](**{name: _decode(value) for name, value in data.items() if name != "is"})
        case list():
            return tuple(_decode(item) for item in data)
        case _:
            return data
