# Two commands on a fresh machine with Python and make: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test lint check format bench clean

demo: $(INSTALLED)
	$(BIN)/embstore build
	$(BIN)/embstore neighbors "the train was late again" -k 5

test: $(INSTALLED)
	$(BIN)/python -m pytest -q --cov --cov-fail-under=90

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint test

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# `make bench BENCHMARKS="encode search"` measures these alone.
bench: $(INSTALLED)
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[bench]'
	$(BIN)/python benchmarks/run.py $(BENCHMARKS)

clean:
	rm -rf $(VENV) .venv-* indices/sample build *.egg-info cli/*.egg-info

# Tested versions are pinned: an unpinned torch would bring gigabytes of GPU packages.
$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev,offline]'
	touch $(INSTALLED)
