# make demo: the mini suite with both baselines. make test: linters, types, layers and all tests.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test test-engines lint unit bench clean

demo: $(VENV)/.core
	$(BIN)/nova-bench demo

test: lint unit

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(VENV)/.test
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -n auto

# Stage two: what needs torch (BERTScore). Set TORCH to the build you want; a plain torch may bring gigabytes of CUDA.
TORCH ?= torch
test-engines: $(VENV)/bin/python
	$(BIN)/pip install --quiet "$(TORCH)"
	$(BIN)/pip install --quiet --editable ".[test,bertscore]"
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -m engine

bench: $(VENV)/.test
	for script in benchmarks/*.py; do $(BIN)/python $$script --quick || exit 1; done

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --editable .
	touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --editable ".[test]"
	touch $@ $(VENV)/.core

clean:
	rm -rf $(VENV) build dist *.egg-info
