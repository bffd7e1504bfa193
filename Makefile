# Everything a person types. Each target sets up what it needs; `make` alone lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up
BENCH_STAMP := $(VENV)/.set-up-bench

.DEFAULT_GOAL := help
.PHONY: help setup demo test chaos chaos-quick check bench bench-growth \
  bench-latency bench-quick bench-throughput bench-restart bench-detection bench-detection-quick \
  format lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-22s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make the local environment, .venv (PYTHON=python3.12 chooses another Python)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Tidegauge needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
	    "Name another: make setup PYTHON=python3.12" >&2; exit 1; }
	@echo "Setting up $(VENV), once; it takes a minute or two ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt ".[dev]"
	@./tidegauge compile
	@touch $@

demo: $(STAMP) ## Watch a real model go wrong and be caught
	@./tidegauge demo

test: $(STAMP) ## Run the tests, on the embedded broker and, where java and mvn are, on Apache Kafka
	@$(BIN)/pytest -n 2 --dist worksteal -m "not chaos" --durations 10 --durations-min 5

N ?= 20
SEED ?= 7
BROKERS ?= 3
chaos: $(STAMP) ## Break a deployment on Apache Kafka in every way, then audit it (N=200 SEED=7)
	@$(BIN)/python -m benchmarks.chaos --kills $(N) --seed $(SEED) --brokers $(BROKERS)

chaos-quick: $(STAMP) ## The same in two minutes, as a test
	@$(BIN)/pytest -m chaos

check: $(BENCH_STAMP) ## Check format, lint, types and the direction of imports
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

$(BENCH_STAMP): $(STAMP)
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt ".[dev,bench]"
	@touch $@

ARGS ?=
bench: $(BENCH_STAMP) ## The same job by everyone, on Apache Kafka, 25 minutes (ARGS=--write renews the docs)
	@$(BIN)/python -m benchmarks.contest $(ARGS)

bench-growth: $(BENCH_STAMP) ## Measure how the cost of a pair grows, and with what (ARGS=--write)
	@$(BIN)/python -m benchmarks.growth $(ARGS)

bench-latency: $(BENCH_STAMP) ## Measure from an outcome to its alert, at shares of the capacity (ARGS=--write)
	@$(BIN)/python -m benchmarks.latency $(ARGS)

bench-quick: $(BENCH_STAMP) ## A guard on speed in under three minutes; fails below its floors
	@$(BIN)/python -m benchmarks.guard

bench-throughput: $(BENCH_STAMP) ## Measure a worker with and without snapshots, on Apache Kafka
	@$(BIN)/python -m benchmarks.throughput

bench-restart: $(BENCH_STAMP) ## Measure how long a restart takes, with up to 1,000,000 predictions waiting
	@$(BIN)/python -m benchmarks.restart

bench-detection: $(BENCH_STAMP) ## Measure false alarms and delays, about 25 minutes
	@$(BIN)/python -m benchmarks.detection

bench-detection-quick: $(BENCH_STAMP) ## The same in two minutes; fails where a bound is broken
	@$(BIN)/python -m benchmarks.detection --quick

format: $(STAMP) ## Format the code, and mend what the linter can
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

lock: ## Renew constraints.txt from pyproject.toml, with Python 3.11
	@rm -rf .cache/lock && $(PYTHON) -m venv .cache/lock
	@.cache/lock/bin/pip install --quiet --disable-pip-version-check ".[dev,bench]"
	@{ echo "# The whole environment, frozen. Made by: make lock"; \
	   .cache/lock/bin/pip freeze --exclude tidegauge; } > constraints.txt
	@rm -rf .cache/lock

clean: ## Remove what was made here: the environment, caches, Kafka's jars
	@rm -rf $(VENV) .cache build *.egg-info .*_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
