# `make` lists the targets. Everything installs into .venv what it needs; PYTHON names another interpreter.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test test-quick lint format soak bench fuzz dashboards lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(VENV)/.installed: pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

demo: $(VENV)/.installed ## run the main job on embedded parts, and watch it
	$(BIN)/sunshave demo

test: $(VENV)/.installed ## all tests, on the real parts that can be had
	$(BIN)/python -m pytest --numprocesses 2 --dist loadgroup

test-quick: $(VENV)/.installed ## the tests that need no broker, database or charger
	$(BIN)/python -m pytest -m "not embedded and not kafka and not influxdb and not mosquitto and not node and not slow"

lint: $(VENV)/.installed ## format, lint, types, and the direction of dependencies, checked
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

SOAK_S ?= 1800
soak: $(VENV)/.installed ## break all that can break, for SOAK_S seconds on one broker, and as long on three
	$(BIN)/python -m tests.soak.run --seconds $(SOAK_S) --nodes 1
	$(BIN)/python -m tests.soak.run --seconds $(SOAK_S) --nodes 3

RIVALS := $(VENV)/rivals
bench: $(VENV)/.installed ## what a record, a decision and a recovery cost, beside other stream processors
	test -x $(RIVALS)/bin/python || $(PYTHON) -m venv $(RIVALS)
	-$(RIVALS)/bin/python -m pip install --quiet --upgrade pip
	-$(RIVALS)/bin/python -m pip install --quiet --editable . --group bench
	$(BIN)/python -m tests.bench --rivals-python $(RIVALS)/bin/python

fuzz: $(VENV)/.installed ## the property tests, for long
	SUNSHAVE_HYPOTHESIS=long $(BIN)/python -m pytest -m "not embedded and not kafka and not influxdb and not mosquitto and not node" tests/topology tests/pipeline

dashboards: $(VENV)/.installed ## write the Grafana dashboards anew
	$(BIN)/sunshave dashboards write

lock: ## pin every dependency anew (needs uv)
	uv pip compile --universal --python-version 3.11 --extra demo --group dev --no-header --no-emit-index-url --no-emit-find-links --output-file requirements.lock pyproject.toml

clean: ## remove what was installed and built here
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
