"""One job on Quix Streams, with the same records in and out as the engines. Ends when stdin does.

Run by an interpreter of its own, in which Weir is not installed: see `quix.py`.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

from quixstreams import Application


def main(told: dict[str, str]) -> None:
    """Run until told to end. `told`: what `quix.py` says."""
    app = Application(
        broker_address=told["bootstrap"],
        consumer_group=told["group"],
        processing_guarantee="exactly-once",
        commit_interval=int(told["commit_ms"]) / 1000,
        auto_offset_reset="earliest",
        state_dir=told["state"],
        loglevel="WARNING",
    )
    events = app.dataframe(app.topic(told["input"], key_deserializer="str", timestamp_extractor=_milliseconds))
    match told["work"]:
        case "filter":
            rows = events.filter(lambda event: event["v"] < 5).apply(_passed)
        case "running-count":
            rows = events.apply(_counted, stateful=True)
        case "tumbling":
            windows = events.tumbling_window(int(told["span_ms"]), int(told["delay_ms"]))
            # As the engines close them: by the time of the partition, and not of each key.
            rows = windows.count().final(closing_strategy="partition").apply(_window, metadata=True)
    rows.to_topic(app.topic(told["output"], key_serializer="str"))
    threading.Thread(target=_until_told, args=(app,), daemon=True).start()
    print('{"ready": {}}', flush=True)
    app.run()


def _milliseconds(value: Any, *_: Any) -> int:
    return int(value["t"]) // 1000


def _passed(event: Any) -> dict[str, Any]:
    return {name: event[name] for name in ("k", "i", "v", "t")}


def _counted(event: Any, state: Any) -> dict[str, Any]:
    count = state.get("n", 0) + 1
    state.set("n", count)
    return {"k": event["k"], "n": count}


def _window(window: Any, key: Any, *_: Any) -> dict[str, Any]:
    return {"k": key, "s": window["start"] * 1000, "e": window["end"] * 1000, "n": window["value"]}


def _until_told(app: Application) -> None:
    sys.stdin.read()
    app.stop()


if __name__ == "__main__":
    main(dict(argument.split("=", 1) for argument in sys.argv[1:]))
