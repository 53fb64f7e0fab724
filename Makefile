PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Which FAISS: cpu, or gpu (never both in one environment: delete .venv before changing it)
FAISS ?= cpu
STAMP := $(VENV)/.installed-$(FAISS)

# OpenMP threads that spin while they wait slow each other down on a shared machine
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: help install demo serve test check format clean
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP) ## set up .venv with pinned versions; the other targets do it by themselves

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Anchorage needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --editable '.[$(FAISS),dev]'
	@touch $@

demo: install ## the main job on this machine: text and images, translated and searched over HTTP
	$(BIN)/anchorage demo

serve: install ## leave a server running on http://127.0.0.1:8080 (Ctrl-C stops it)
	$(BIN)/anchorage serve

test: install ## every test
	$(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile --durations=5

check: install ## what CI runs beside the tests: format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install ## put the code into the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove the environment and every cache
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache .coverage
