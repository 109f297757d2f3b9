# Everything is made inside the checkout: .cache/ (a private uv and its cache) and .venv/ (this package and its tools).
# Needs only Python >= 3.10 with venv, make and git.

PYTHON ?= python3
BOOT := .cache/boot
UV := $(BOOT)/bin/uv
VENV := .venv
BIN := $(VENV)/bin
export UV_CACHE_DIR ?= $(CURDIR)/.cache/uv
# A folder of wheels that pip is told to look in holds for uv as well (a CPU build of torch, an air-gapped mirror).
export UV_FIND_LINKS ?= $(shell $(PYTHON) -m pip config get global.find-links 2>/dev/null || $(PYTHON) -m pip config get :env:.find-links 2>/dev/null)

# The system's certificates, where there are any, know the authority of a company's proxy as well.
ifneq ($(wildcard /etc/ssl/certs/ca-certificates.crt),)
export UV_SYSTEM_CERTS ?= 1
endif

.PHONY: help sandbox-deps demo test test-msst lint types format generate check-generated bench wheel locks check-locks relock-dev clean
.DEFAULT_GOAL := help

help:  ## Say what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# A stamp is touched last, so that an interrupted set-up is done again.
$(BOOT)/ready:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed, this is %s; set PYTHON=" % sys.version.split()[0])'
	$(PYTHON) -m venv --clear $(BOOT)
	$(BOOT)/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.8'
	@touch $@

$(VENV)/ready: $(BOOT)/ready pyproject.toml requirements-dev.txt
	$(UV) venv --quiet --clear --python $(BOOT)/bin/python $(VENV)
	$(UV) pip sync --quiet --require-hashes --python $(BIN)/python requirements-dev.txt
	$(UV) pip install --quiet --no-deps --python $(BIN)/python --editable .
	@touch $@

sandbox-deps:  ## Install what the sandbox is made of (bubblewrap), where root and apt are there
	scripts/sandbox-deps

demo: $(VENV)/ready  ## Make a song, separate it, measure the stems
	@$(BIN)/python demo/demo.py

test: $(VENV)/ready  ## Run the tests (those that build environments too)
	$(BIN)/python -m pytest -n auto --dist loadgroup --durations 15

test-msst: $(VENV)/ready  ## Test the msst runtime on the real engine; MSST_MIRROR=ADDRESS of a mirror, MSST_MODULES=FOLDER of variants' files
	MSST_ENGINE=real $(BIN)/python -m pytest tests/integration/msst

lint: $(VENV)/ready  ## Check style, layers and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/ready  ## Check types, strictly
	$(BIN)/mypy src tests demo benchmarks scripts
# Each by itself, because all have one name; their engines are in environments of their own.
	for adapter in $(wildcard runtimes/*/adapter.py runtimes/*/adapter); do \
	  $(BIN)/mypy --ignore-missing-imports --cache-dir .mypy_cache/adapters $$adapter || exit 1; done

format: $(VENV)/ready  ## Format the code
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

generate: $(VENV)/ready  ## Write what is generated: schemas/, tables in docs/reference/
	$(BIN)/python scripts/generate.py

check-generated: $(VENV)/ready  ## Compare what is generated with what is committed
	$(BIN)/python scripts/generate.py --check

locks: $(VENV)/ready  ## Make the locks that ship with the runtimes; UPGRADE=1 takes the newest versions
	$(BIN)/stemsep-env lock --all --output runtimes $(if $(UPGRADE),--upgrade)

check-locks: $(VENV)/ready  ## Say which shipped locks are stale and why (no network)
	$(BIN)/stemsep-env lock --all --check --output runtimes --offline

relock-dev: $(BOOT)/ready  ## Resolve the development tools anew
	$(UV) pip compile --quiet --universal --upgrade --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-header --python-version 3.10 --extra dev --output-file requirements-dev.txt pyproject.toml

bench: $(VENV)/ready  ## Measure against what a user would run instead; ROWS=NAME,... only these, QUICK=1 with fewer rounds
	@$(BIN)/python benchmarks/run.py $(if $(ROWS),--rows "$(ROWS)") $(if $(QUICK),--quick)

wheel: $(VENV)/ready  ## Build the wheel into dist/
	$(UV) build --quiet --wheel --out-dir dist

clean:  ## Remove everything that was made here
	rm -rf .venv .cache .demo build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
