# One word per task; each does its own set-up. It takes Python 3.10+, gcc, make, and apt (or libnng).
#   make demo          two processes talk to each other, a few seconds
#   make test          the tests, at most five minutes
#   make test-slow     full-size storms and order runs
#   make test-hazards  what libnng does with our workarounds left out, where it takes luck to see it
#   make check         format, lint, types, warnings of the C compiler
#   make bench         how fast, beside other libraries; make bench-quick: the same, shorter
#   make clean         remove everything the others made
# Variables: PYTHON, VENV, NNG_PREFIX (another libnng), PYTEST_ARGS, WORKERS (processes that test; 0: none).

PYTHON ?= python3
VENV ?= .venv
BENCH ?= .venv-bench
PYTEST_ARGS ?=
WORKERS ?= auto
BIN := $(VENV)/bin
PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

export PYTHON

.PHONY: demo test test-slow test-hazards check bench bench-quick clean machine runtime tools peers

demo: runtime
	$(BIN)/python -m trionng demo

test: tools
	$(PYTEST) -m "not slow and not by_chance" $(PYTEST_ARGS)

test-slow: tools
	$(PYTEST) -m slow -o faulthandler_timeout=900 $(PYTEST_ARGS)

test-hazards: tools
	$(PYTEST) -m by_chance -o faulthandler_timeout=900 $(PYTEST_ARGS)

check: tools
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	PATH="$(abspath $(BIN)):$$PATH" pyright --ignoreexternal --verifytypes trionng
	$(BIN)/python build_ffi.py --werror

bench: peers
	$(BENCH)/bin/python -m benchmarks.run

bench-quick: peers
	$(BENCH)/bin/python -m benchmarks.run --quick

# What the machine, the library and the tests need. The native module is rebuilt when it is stale.
machine:
	@sh tools/bootstrap.sh

runtime: machine $(VENV)/runtime
	@$(BIN)/python build_ffi.py

tools: machine $(VENV)/tools
	@$(BIN)/python build_ffi.py --testing

$(VENV)/runtime: pyproject.toml setup.py | machine
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install "setuptools>=77" "cffi>=1.17"
	$(PIP) install --no-build-isolation --config-settings editable_mode=compat --editable .
	@touch $@

$(VENV)/tools: $(VENV)/runtime
	$(PIP) install --no-build-isolation --config-settings editable_mode=compat --editable ".[test]"
	@touch $@

# The libraries trionng is compared with live in an environment of their own.
peers: machine $(BENCH)/peers build/bench_c build/bench_c_aio
	@$(BENCH)/bin/python build_ffi.py

$(BENCH)/peers: pyproject.toml setup.py benchmarks/requirements.txt | machine
	test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip --disable-pip-version-check --quiet install "setuptools>=77" "cffi>=1.17"
	$(BENCH)/bin/python -m pip --disable-pip-version-check --quiet install \
		--no-build-isolation --config-settings editable_mode=compat --editable .
	$(BENCH)/bin/python -m pip --disable-pip-version-check --quiet install -r benchmarks/requirements.txt
	@touch $@

BENCH_C := -O2 -Wall -Wextra -std=gnu11 -pthread $(if $(NNG_PREFIX),-I$(NNG_PREFIX)/include)
BENCH_LINK := $(if $(NNG_PREFIX),-L$(NNG_PREFIX)/lib -Wl$(comma)-rpath$(comma)$(NNG_PREFIX)/lib) -lnng
comma := ,

build/bench_c: benchmarks/c/common.c benchmarks/c/blocking.c benchmarks/c/bench.h | machine
	@mkdir -p build
	$(CC) $(BENCH_C) $(filter %.c,$^) -o $@ $(BENCH_LINK)

build/bench_c_aio: benchmarks/c/common.c benchmarks/c/loop.c benchmarks/c/aio.c \
		benchmarks/c/bench.h benchmarks/c/loop.h | machine
	@mkdir -p build
	$(CC) $(BENCH_C) $(filter %.c,$^) -o $@ $(BENCH_LINK)

clean:
	rm -rf $(VENV) .venv-* build dist *.egg-info trionng/_ffi/*.so
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
