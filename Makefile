# The one door to the project: `make help` lists what it can do.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# More test processes than cores: much of what is tested is waiting for other processes.
PYTEST_ARGS ?= -n 4 --dist worksteal

# Some containers set this; then each of the many processes of the tests would compile anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help assets demo test check model bench bench-all chaos chaos-planted chaos-points chaos-smoke chaos-long chaos-peers format docs lock screenshots clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

$(VENV)/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/demo-ready: $(VENV)/ready examples/receipts/requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r examples/receipts/requirements.lock
	@touch $@

demo: $(VENV)/demo-ready ## Read real receipts; KILL=1 kills a worker in the middle of it
	$(BIN)/python -m examples.receipts.demo $(if $(KILL),--kill)

test: $(VENV)/demo-ready ## Run all tests, with a short form of the demo
	$(BIN)/pytest $(PYTEST_ARGS)

check: $(VENV)/demo-ready ## Format, lint, types, import contracts, file sizes
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/pytest -q tests/unit/test_repository.py

model: $(VENV)/ready ## Check the protocol's model and its planted faults, in about ten minutes
	$(BIN)/python -m chaos.model $(MODEL_ARGS)

bench: $(VENV)/ready ## Ferryman side by side with the best others (10 to 15 minutes)
	$(BIN)/python -m benchmarks.compare $(BENCH_ARGS)

bench-all: $(VENV)/ready ## All systems and workloads (hours); BENCH_ARGS="--only NAME,..." for some
	$(BIN)/python -m benchmarks.compare --full $(BENCH_ARGS)

chaos: $(VENV)/ready chaos-planted chaos-points ## Inject every fault on every deployment (hours); CHAOS_ARGS="--on NAME"
	$(BIN)/python -m chaos run $(CHAOS_ARGS)

chaos-planted: $(VENV)/ready ## See whether each fault that is planted in the code is caught (10 minutes)
	$(BIN)/python -m chaos planted

chaos-points: $(VENV)/ready ## Kill a process before and after each call to a server (an hour)
	$(BIN)/python -m chaos points

chaos-smoke: $(VENV)/ready ## A few faults on every deployment, as in `make test` (a minute)
	$(BIN)/pytest -n 3 tests/chaos/test_smoke.py

chaos-long: $(VENV)/ready ## 1,000,000 jobs and 1,000 kills, in about 40 minutes; CHAOS_ARGS="--on NAME"
	$(BIN)/python -m chaos endure $(CHAOS_ARGS)

chaos-peers: $(VENV)/ready ## The same faults for other systems (an hour or two)
	$(BIN)/python -m chaos peers $(CHAOS_ARGS)

format: $(VENV)/ready ## Format the code and sort its imports
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

assets: $(VENV)/ready ## Fetch the dashboard's third-party files anew, by their lock (needs npm)
	$(BIN)/python scripts/assets.py

screenshots: $(VENV)/ready ## Take the pictures of the dashboard in docs/images (needs chromium)
	$(BIN)/python scripts/screenshots.py

docs: $(VENV)/ready ## Write the pages that are made from the code
	$(BIN)/python scripts/reference.py

lock: $(VENV)/ready ## Write the locks anew from pyproject.toml (needs uv: pip install uv)
	$(BIN)/uv pip compile pyproject.toml --extra dev $(LOCK) -o requirements.lock
	$(BIN)/uv pip compile examples/receipts/requirements.txt -c requirements.lock $(LOCK) -o examples/receipts/requirements.lock

LOCK := --upgrade --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-annotate

clean: ## Delete what the targets made
	rm -rf $(VENV) .ferryman .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .chaos dist
