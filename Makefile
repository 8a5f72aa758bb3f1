# Every target sets up what it needs: a virtual environment in .venv, locked by hash.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint types contracts check conformance fuzz pages bench bench-channels bench-memory bench-attack wheels sbom lock clean

help: ## show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

setup: $(STAMP) ## make the virtual environment from requirements.lock

$(STAMP): requirements.lock erlmcp/pyproject.toml gonogo/pyproject.toml examples/notes/pyproject.toml scripts/setup.sh
	@PYTHON="$(PYTHON)" VENV="$(VENV)" sh scripts/setup.sh
	@touch $@

demo: $(STAMP) ## two releases for real: one goes well, one rolls itself back (under 3 minutes)
	@$(BIN)/python -m demo

# The tests of a file run in one process, since they share servers; files in their order, the longest first.
test: $(STAMP) ## every test
	@sh scripts/system-parts.sh
	@sh scripts/node-clients.sh
	@$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder -m "not alone"
	@$(BIN)/python -m pytest -m alone

lint: $(STAMP) ## style, size limits
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(STAMP) ## mypy strict
	@$(BIN)/mypy

contracts: $(STAMP) ## who may import whom
	@$(BIN)/lint-imports

pages: $(STAMP) ## write again the pages, rules and dashboards that are made from the program
	@$(BIN)/python scripts/reference.py
	@$(BIN)/python scripts/error_ids.py
	@$(BIN)/python scripts/grafana_dashboard.py
	@$(BIN)/python -m scripts.alert_thresholds
	@$(BIN)/python erlmcp/tests/behaviours/book.py > docs/reference/behaviours.md

check: lint types contracts test ## all of the above

conformance: $(STAMP) ## the official suite against erlmcp: every leg must have full marks (needs npm)
	@$(BIN)/python -m conformance

fuzz: $(STAMP) ## a million hostile inputs at every framing (about 20 minutes; nightly)
	@$(BIN)/python -m pip -qq --disable-pip-version-check install --require-hashes --no-deps --only-binary :all: \
	  -r fuzz/requirements.lock || echo "fuzz: atheris cannot be had here"
	@$(BIN)/python -m fuzz

bench: $(STAMP) ## erlmcp and its peers over HTTP, side by side (needs wrk; about 10 minutes)
	@$(BIN)/python -m benchmarks.http --tail

bench-channels: $(STAMP) ## TCP and WebSocket against bare servers (about 3 minutes)
	@$(BIN)/python -m benchmarks.channels

bench-memory: $(STAMP) ## what sessions and open streams cost, and whether memory grows (needs wrk; about 6 minutes)
	@$(BIN)/python -m benchmarks.memory

bench-attack: $(STAMP) ## what a good client feels while ten thousand hostile ones hold on (about 4 minutes)
	@$(BIN)/python -m benchmarks.attack

wheels: $(STAMP) ## build each wheel and import it alone in an empty environment
	@PYTHON="$(PYTHON)" VENV="$(VENV)" sh scripts/wheels.sh

sbom: $(STAMP) ## what each distribution is made of, CycloneDX, below build/sbom
	@$(BIN)/python -m scripts.sbom

lock: $(STAMP) ## refresh requirements.lock
	$(BIN)/uv pip compile erlmcp/pyproject.toml gonogo/pyproject.toml examples/notes/pyproject.toml \
	  --all-extras --group pyproject.toml:dev --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header --no-annotate --upgrade -o requirements.lock -q
	$(BIN)/uv pip compile erlmcp/pyproject.toml --all-extras --constraint requirements.lock \
	  --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
	  -o deploy/container/requirements.lock -q

clean: ## remove everything that was built
	rm -rf $(VENV) build dist
