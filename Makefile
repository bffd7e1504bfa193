# Everything a person types. Each target sets up what it needs; `make` alone lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up
UV := uv==0.13.9

# Wheels whose hash is known, and nothing that is built here: a build would fetch tools of its own.
FROM_LOCK := --quiet --disable-pip-version-check --require-hashes --only-binary :all:

.DEFAULT_GOAL := help
.PHONY: help setup demo test fuzz chaos chaos-quick check bench bench-growth \
  bench-latency bench-workers bench-quick bench-throughput bench-restart bench-detection \
  bench-detection-quick bench-loop bench-truth bench-truth-quick bench-late-labels bench-figures format lock hashes audit \
  pin-images clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-22s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make the local environment, .venv (PYTHON=python3.12 chooses another Python)

$(STAMP): locks/development.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Tidegauge needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
	    "Name another: make setup PYTHON=python3.12" >&2; exit 1; }
	@echo "Setting up $(VENV), once; it takes a minute or two ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install $(FROM_LOCK) -r locks/development.txt
	@./tidegauge compile
	@touch $@

demo: $(STAMP) ## Watch a real model go wrong and be caught
	@./tidegauge demo

# Four at a time, on two cores as well: most tests that take long wait for a broker.
test: $(STAMP) ## Run the tests, on the embedded broker and, where java and mvn are, on Apache Kafka
	@$(BIN)/pytest -n 4 --dist worksteal -m "not chaos" --durations 10 --durations-min 5

fuzz: $(STAMP) ## Draw 1,000 examples of each property instead of 40, ten minutes
	@HYPOTHESIS_PROFILE=fuzz $(BIN)/pytest -n 2 -m hypothesis tests/schemas tests/streams

N ?= 20
SEED ?= 7
BROKERS ?= 3
chaos: $(STAMP) ## Break a deployment on Apache Kafka in every way, then audit it (N=200 SEED=7)
	@$(BIN)/python -m benchmarks.chaos --kills $(N) --seed $(SEED) --brokers $(BROKERS)

chaos-quick: $(STAMP) ## The same in two minutes, as a test
	@$(BIN)/pytest -m chaos

check: $(STAMP) ## Check format, lint, types and the direction of imports
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

ARGS ?=
bench: $(STAMP) ## The same job by everyone, on Apache Kafka, 25 minutes (ARGS=--write renews the docs)
	@$(BIN)/python -m benchmarks.contest $(ARGS)

bench-growth: $(STAMP) ## Measure how the cost of a pair grows, and with what (ARGS=--write)
	@$(BIN)/python -m benchmarks.growth $(ARGS)

bench-latency: $(STAMP) ## Measure from an outcome to its alert, at shares of the capacity (ARGS=--write)
	@$(BIN)/python -m benchmarks.latency $(ARGS)

bench-workers: $(STAMP) ## Workers come and go on a backlog of 48 hours: the alerts of a backtest? (ARGS="--steps 8")
	@$(BIN)/python -m benchmarks.workers $(ARGS)

bench-quick: $(STAMP) ## A guard on speed in under three minutes; fails below its floors
	@$(BIN)/python -m benchmarks.guard

bench-throughput: $(STAMP) ## Measure a worker with and without snapshots, on Apache Kafka
	@$(BIN)/python -m benchmarks.throughput

bench-restart: $(STAMP) ## Measure how long a restart takes, with up to 1,000,000 predictions waiting
	@$(BIN)/python -m benchmarks.restart

bench-detection: $(STAMP) ## Measure false alarms and delays, about 25 minutes
	@$(BIN)/python -m benchmarks.detection

bench-truth: $(STAMP) ## Measure whether the words of alerts are true, and later changes told, 10 minutes
	@$(BIN)/python -m benchmarks.truth
	@$(BIN)/python -m benchmarks.rare_events
	@$(BIN)/python -m benchmarks.concepts
	@$(BIN)/python -m benchmarks.real_tables

bench-truth-quick: $(STAMP) ## The same in a minute; fails where a bound is broken
	@$(BIN)/python -m benchmarks.truth --quick
	@$(BIN)/python -m benchmarks.rare_events --quick
	@$(BIN)/python -m benchmarks.concepts --quick

bench-detection-quick: $(STAMP) ## The same in two minutes; fails where a bound is broken
	@$(BIN)/python -m benchmarks.detection --quick

bench-late-labels: $(BENCH_STAMP) ## Measure alarms on errors whose labels come late, about 20 minutes
	@$(BIN)/python -m benchmarks.late_labels

bench-figures: $(STAMP) ## Measure the figures of performance where the truth is known, 5 minutes
	@$(BIN)/python -m benchmarks.performance_figures $(ARGS)
	@$(BIN)/python -m benchmarks.segment_figures $(ARGS)
	@$(BIN)/python -m benchmarks.figures_cost $(ARGS)

bench-loop: $(STAMP) ## Measure challengers, reviews and leases against their promises, a minute
	@$(BIN)/python -m benchmarks.loop

format: $(STAMP) ## Format the code, and mend what the linter can
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

lock: ## Renew constraints.txt from pyproject.toml, with Python 3.11, and the hashes
	@rm -rf .cache/lock && $(PYTHON) -m venv .cache/lock
	@.cache/lock/bin/pip install --quiet --disable-pip-version-check ".[dev,bench]"
	@{ echo "# The whole environment, frozen. Made by: make lock"; \
	   .cache/lock/bin/pip freeze --exclude tidegauge; } > constraints.txt
	@rm -rf .cache/lock
	@$(MAKE) --no-print-directory hashes

COMPILE = .cache/uv/bin/uv pip compile --quiet --generate-hashes --universal --no-header --no-annotate \
  --python-version 3.11 -c constraints.txt pyproject.toml
hashes: ## Make locks/ from pyproject.toml and constraints.txt: each package with its hashes
	@$(PYTHON) -m venv .cache/uv && .cache/uv/bin/pip install --quiet --disable-pip-version-check $(UV)
	@$(COMPILE) -o locks/runtime.txt
	@$(COMPILE) --extra dev --extra bench -o locks/development.txt

audit: ## Look up the known vulnerabilities of what is in locks/
	@$(PYTHON) -m venv .cache/audit
	@.cache/audit/bin/pip install --quiet --disable-pip-version-check pip-audit==2.10.1
	@.cache/audit/bin/pip-audit --disable-pip --require-hashes -r locks/development.txt

pin-images: ## Pin the base images to the digests that their registry has now; needs docker buildx
	@for image in $$(sed -n 's/^FROM \([^ @]*\).*/\1/p' deploy/Dockerfile | sort -u) \
	  $$(sed -n 's#^ *image: \(\(apache\|prom\|grafana\)/[^ @]*\).*#\1#p' docker-compose.yml); do \
	  digest=$$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' $$image) || exit 1; \
	  sed -i "s#$$image\(@sha256:[0-9a-f]*\)\{0,1\}#$$image@$$digest#" \
	    deploy/Dockerfile docker-compose.yml; \
	done

clean: ## Remove what was made here: the environment, caches, Kafka's jars
	@rm -rf $(VENV) .cache build *.egg-info .*_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
