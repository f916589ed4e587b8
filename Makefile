# make demo | test | slow | long | lint: each makes .venv, installs what it needs, and runs. The second call starts at once:
# what is installed is written down in stamps that are older than neither pyproject.toml nor constraints.txt.
#
#   make demo DEMO_ARGS="--max-frames 60"      make test TEST_ARGS="tests/explain -x"
#   make test PYTHON=python3.12                make test VENV=/somewhere/else

VENV ?= .venv
DEMO_ARGS ?=
TEST_ARGS ?=
# the first of these that is Python 3.11 or newer
CANDIDATES := python3 python3.13 python3.12 python3.11 python3.14 python
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in $(CANDIDATES); do $$p -c '$(NEW_ENOUGH)' 2>/dev/null && echo $$p && break; done)

BIN := $(VENV)/bin
PINS := pyproject.toml constraints.txt
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e

.PHONY: demo test slow long lint
.DELETE_ON_ERROR:

demo: $(VENV)/.installed-core
	$(BIN)/rljax-viz demo $(DEMO_ARGS)

# Quick tests compile more than they compute: without LLVM's optimisation they take half the time. `slow` runs as users do.
test: $(VENV)/.installed-test
	XLA_FLAGS="--xla_backend_optimization_level=0 $$XLA_FLAGS" $(BIN)/python -m pytest -n auto --dist loadfile --durations=15 $(TEST_ARGS)

slow: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m slow -n auto --dist worksteal --durations=15 $(TEST_ARGS)

long: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m long $(TEST_ARGS)

lint: $(VENV)/.installed-lint
	$(BIN)/ruff check .
	$(BIN)/basedpyright --pythonpath $(BIN)/python

$(VENV)/.installed-core: $(PINS) | $(BIN)/pip
	@echo "installing rljax-viz into $(VENV) (a minute or two, once)"
	$(INSTALL) ".[native]"
	@touch $@

$(VENV)/.installed-test: $(PINS) | $(BIN)/pip
	@echo "installing rljax-viz and what its tests need into $(VENV) (a minute or two, once)"
	$(INSTALL) ".[test,e2e]"
	@touch $@ $(VENV)/.installed-core

$(VENV)/.installed-lint: $(PINS) | $(BIN)/pip
	@echo "installing rljax-viz, ruff and basedpyright into $(VENV) (a minute or two, once)"
	$(INSTALL) ".[lint,analysis,log]"
	@touch $@ $(VENV)/.installed-core

# pip is the last thing that venv makes: where it is missing, the making was interrupted
$(BIN)/pip:
	@if [ -z "$(PYTHON)" ]; then \
	  echo "rljax-viz needs Python 3.11 or newer; none of $(CANDIDATES) is. Install one"; \
	  echo "(Debian, Ubuntu: apt-get install python3.11 python3.11-venv; or https://docs.astral.sh/uv: uv python install)"; \
	  echo "and say which: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; fi
	@$(PYTHON) -c '$(NEW_ENOUGH)' || { \
	  echo "rljax-viz needs Python 3.11 or newer, and PYTHON=$(PYTHON) is: $$($(PYTHON) --version 2>&1 | head -1)"; \
	  echo "Say which to take: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
