# Everything a contributor does, on a machine that has Python 3.11 or newer and make.
# `make` alone lists the targets.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
SOURCES := src tests examples benchmarks docs

.DEFAULT_GOAL := help
.PHONY: help demo test lint type docs bench format clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.app  ## Set up and run the main job: BADGE against margin and random on digits
	$(BIN)/labelnext demo --out demo

test: $(VENV)/.dev  ## Set up and run all tests and doctests, with coverage
	rm -f .coverage .coverage.*
	$(BIN)/python -m pytest -n auto --cov --cov-report=term

lint: $(VENV)/.dev  ## Check format, style and that imports go downward
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/lint-imports

type: $(VENV)/.dev  ## Check types (mypy, strict)
	$(BIN)/mypy

docs: $(VENV)/.docs  ## Build the documentation into docs/_build/html, no warning let through
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html
	$(BIN)/python -m sphinx -W --keep-going -b doctest docs docs/_build/doctest

bench: $(VENV)/.bench  ## Time selection against others; takes a while
	$(BIN)/python -m benchmarks

format: $(VENV)/.dev  ## Format the code and mend what ruff can mend
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

clean:  ## Remove the environment and everything that was built
	rm -rf $(VENV) build dist demo docs/_build docs/gallery docs/api/generated .coverage .coverage.* .*_cache

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit("labelnext needs Python 3.11 or newer, but $(PYTHON) is " + sys.version.split()[0] + "; name another with make PYTHON=python3.12 ..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@touch $@

# One environment; a later target adds its extra to what is there.
$(VENV)/.app: pyproject.toml | $(VENV)/.made
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.dev $(VENV)/.docs $(VENV)/.bench: $(VENV)/.%: pyproject.toml | $(VENV)/.made
	$(BIN)/python -m pip install --quiet --editable '.[$*]'
	@touch $@ $(VENV)/.app
