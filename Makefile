# Every target sets up .venv by itself, once, from requirements/dev.lock.
PYTHON ?= python3
BIN := .venv/bin
# So many processes run files of tests, each with a broker of its own; most of a test's time is waiting.
JOBS ?= 2
PYTEST = $(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile
# What runs compiled code, once more without it; both ways of talking to Kafka are in tests/log.
TWINS := $(addprefix tests/,client edge coordination hosts log node otp processor programs schema simulation store) \
	--ignore tests/processor/test_plain.py --ignore tests/simulation/test_compiled.py
READY := .venv/.ready
PATHS := $(wildcard plexstream tests tools bench examples)
COMPILE := $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate $(if $(UPGRADE),--upgrade)

# Tests and benchmarks start hundreds of nodes, and each would compile all of its modules first.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help lint test demo bench docs lock

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

lint: $(READY)  ## formatting rules, types, and which package may import which
	$(BIN)/ruff check $(PATHS)
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint  ## lint, then every test, against a real Kafka broker, and without what is compiled (ARGS="-k word": some)
	tools/need kafka
	$(PYTEST) $(ARGS)
	$(if $(ARGS),,PLEXSTREAM_COMPILED=0 $(PYTEST) -m "not kafka" $(TWINS))

demo: $(READY)  ## the flights example, end to end
	PATH="$(CURDIR)/$(BIN):$$PATH" examples/flights/run $(ARGS)

bench: $(READY)  ## the benchmarks
	PATH="$(CURDIR)/$(BIN):$$PATH" bench/run $(ARGS)

docs: $(READY)  ## the documentation, in site/
	$(BIN)/mkdocs build --strict --site-dir site

lock: $(READY)  ## requirements/*.lock from pyproject.toml (UPGRADE=1: to the newest versions)
	$(COMPILE) --output-file requirements/runtime.lock
	$(COMPILE) --group dev --constraints requirements/runtime.lock --output-file requirements/dev.lock

$(READY): requirements/dev.lock pyproject.toml $(shell find plexstream -name "*.[ch]")
	PYTHON="$(PYTHON)" tools/need python
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
