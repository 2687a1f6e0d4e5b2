# Two commands do everything on a fresh clone: `make audit` and `make test`.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help audit test check lint bench clean

help: ## what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

.venv/seepage: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable .
	touch $@

.venv/seepage-dev: .venv/seepage
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

audit: .venv/seepage ## set up, audit a federation on the embedded data, say where the report is
	$(BIN)/seepage audit

test: .venv/seepage-dev ## set up, run the whole test suite
	$(BIN)/pytest -n auto

lint: .venv/seepage-dev ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright

check: lint test ## what has to pass before a change lands

bench: .venv/seepage-dev ## speed, against the plain way of doing the same work
	$(BIN)/python -m benchmarks

clean: ## remove the environment and the caches
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis
