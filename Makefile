# What a person types: `make demo`, `make test`, `make install`. `make help` lists the rest.
#
# Needs Rust, Python 3.11 or later and a C compiler; `make setup` brings the rest (a virtual
# environment in .venv and, as root on a Debian-like system, a few packages).

PREFIX  ?= /usr/local
DESTDIR ?=
JOBS    ?= 2
CARGO   ?= cargo
# The dependencies are those of Cargo.lock, here and on every other machine.
CARGO_FLAGS ?= --locked

# Where rustup puts it, for shells that do not look there.
export PATH := $(PATH):$(HOME)/.cargo/bin

VENV    := $(CURDIR)/.venv
BIN     := $(VENV)/bin
MATURIN := VIRTUAL_ENV=$(VENV) PATH="$(BIN):$$PATH" $(BIN)/maturin develop $(CARGO_FLAGS)

.DEFAULT_GOAL := help
.PHONY: help setup system cargo build demo test slow bench lint format crash-table install clean
# The steps of a target run one after the other; each tool uses the processors itself.
.NOTPARALLEL:

help: ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: system cargo $(VENV)/.ready ## What the other targets need (they call it)

system:
	@scripts/system-packages

cargo:
	@command -v $(CARGO) >/dev/null || { echo "no $(CARGO): install Rust first" >&2; exit 1; }

$(VENV)/.ready: python-tests/requirements.txt
	python=$$(scripts/find-python) && "$$python" -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

demo: setup build ## C, Python and QEMU share an image; a dozen lines say what happened
	$(MATURIN) --quiet --release
	PYTHON=$(BIN)/python examples/demo.sh

test: setup ## Every test: the engine, the C library, the Python package
	$(CARGO) test $(CARGO_FLAGS) -p qed-core
	$(CARGO) test $(CARGO_FLAGS) -p qed-core --lib --features shuttle model_
	QED_TSAN=1 $(CARGO) test $(CARGO_FLAGS) -p qed-capi
	$(MATURIN) --quiet
	@scripts/system-packages --report
	$(BIN)/python -m pytest -n $(JOBS) python-tests

# What random tests do more than in every run; each test says what its variable counts.
MORE ?= QED_CRASH_STATES=1000000 QED_CRASH_SEEDS=0..400 QED_CRASH_DEEP=1 QED_QUEUE_SECONDS=120 \
	QED_QUEUE_CASES=100 QED_KILL_ROUNDS=300 QED_REPAIR_CASES=2000 QED_INTEROP_CASES=300

slow: setup ## The slow part: a million crash states, minutes of stress, kills, damage (an hour)
	$(MORE) $(CARGO) test $(CARGO_FLAGS) --release -p qed-core

# The disk that is measured: BENCH_DIR=/where (2 GiB free; the temporary directory). A part of the
# table: ROWS="P1 P3". Only a whole run writes docs/benchmarks.md.
bench: setup ## libqed beside raw files and QEMU: docs/benchmarks.md, made again (10 minutes)
	$(MATURIN) --quiet --release
	PATH="$(BIN):$$PATH" $(BIN)/python -m benches $(if $(BENCH_DIR),--folder "$(BENCH_DIR)") $(ROWS)

lint: setup ## Formatting, clippy, ruff and mypy, all of them strict
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(CARGO_FLAGS) --workspace --all-targets -- -D warnings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup ## Lets rustfmt and ruff lay the code out
	$(CARGO) fmt --all
	$(BIN)/ruff format .

crash-table: setup ## The table of docs/crash-testing.md, made again (a minute)
	$(MATURIN) --quiet --release
	$(BIN)/python scripts/crash_table.py

build: cargo ## The C library, optimised (target/release)
	$(CARGO) build $(CARGO_FLAGS) --release -p qed-capi

install: ## The C library, header and man pages: make install PREFIX=/usr DESTDIR=...
	@# Under sudo there may be no cargo: then what `make build` left is installed.
	if command -v $(CARGO) >/dev/null; then $(MAKE) build; fi
	DESTDIR="$(DESTDIR)" qed-capi/install.sh "$(abspath $(PREFIX))"

clean: ## Removes everything that was built
	$(CARGO) clean
	rm -rf build dist $(VENV)
