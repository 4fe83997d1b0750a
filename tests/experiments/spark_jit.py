"""Spark with C1 alone and with the default JIT, under the bench's load: C1, default, default, C1.

Not a test: it takes ten minutes and a quiet machine. Prints the bench's tables, each with its load of the machine.

    .venv/bin/python tests/experiments/spark_jit.py --rate 20000 --duration 60
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.__main__ import main
from engines.contract import Profile
from engines.spark import session

DEFAULT: tuple[str, ...] = ()

if __name__ == "__main__":
    for flags in (session.C1, DEFAULT, DEFAULT, session.C1):
        session.JVM[Profile.BENCH] = flags
        print("C1 alone" if flags else "default JIT", flush=True)
        main(["--engine", "spark", *sys.argv[1:]])
