# Every target makes the virtual environment it needs on first use, from the hashed lock files.
PYTHON ?= python3
ARGS ?=
RUN := .venv-run
DEV := .venv-dev

.DEFAULT_GOAL := help
.PHONY: help demo test check lock clean

help:
	@echo "make demo [ARGS=…]   a whole campus on this machine; ARGS=\"--for 30 --report out.json --chaos\""
	@echo "make test            all tests"
	@echo "make check           lint, types, import rules"
	@echo "make lock            resolve the dependencies anew (needs uv)"
	@echo "make clean           remove environments and caches"

# The project itself is installed without build isolation: its build tool comes from the lock file, too.
$(RUN)/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(RUN)
	$(RUN)/bin/python -m pip install --quiet --require-hashes -r requirements.lock
	$(RUN)/bin/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(DEV)/ready: requirements-dev.lock pyproject.toml
	$(PYTHON) -m venv $(DEV)
	$(DEV)/bin/python -m pip install --quiet --require-hashes -r requirements-dev.lock
	$(DEV)/bin/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

demo: $(RUN)/ready
	@exec $(RUN)/bin/campus-sim demo $(ARGS)

test: $(DEV)/ready
	$(DEV)/bin/python -m pytest $(ARGS)

check: $(DEV)/ready
	$(DEV)/bin/ruff check .
	$(DEV)/bin/ruff format --check .
	$(DEV)/bin/mypy
	$(DEV)/bin/lint-imports

lock:
	printf 'hatchling\neditables\n' | uv pip compile - pyproject.toml --extra aggregator --extra simulators --generate-hashes --universal --python-version 3.11 --no-header --no-emit-index-url --no-emit-find-links -o requirements.lock
	printf 'hatchling\neditables\n' | uv pip compile - pyproject.toml --extra dev --generate-hashes --universal --python-version 3.11 --no-header --no-emit-index-url --no-emit-find-links -o requirements-dev.lock

clean:
	rm -rf $(RUN) $(DEV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
