# Every target makes the virtual environment it needs on first use, from the hashed lock files. Needs Python 3.11 or
# later with venv (Debian: apt-get install python3-venv), and no root.
PYTHON ?= python3
ARGS ?=
# Files of tests at a time. Many of them wait for processes and servers, so two are quicker than one on any machine.
JOBS ?= 2
RUN := .venv-run
DEV := .venv-dev
PIP := -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help commands demo test simulate bench check docs screenshots lock clean

help:
	@echo "make demo    a whole campus on this machine, until Ctrl-C"
	@echo "             ARGS=\"--for 30 --report out.json\"   for 30 s, and what became of every record"
	@echo "             ARGS=\"--for 30 --chaos\"             while processes are killed at random"
	@echo "make test    all tests          ARGS=\"tests/wire -k codec\"   some"
	@echo "             JOBS=0                               one after the other, as a debugger wants it"
	@echo "make simulate  a thousand seeded campuses in virtual time, with kills, cuts and rollbacks"
	@echo "             ARGS=\"17 --trace\"   one of them, told step by step"
	@echo "make bench   what the chain costs and takes on this machine, in about seven minutes"
	@echo "             ARGS=\"chain modbus --json out.json\"   some of it, and for a program"
	@echo "make check   lint, format, types, import rules"
	@echo "make commands  campus-aggregator, campus-edge, campus-profile, campus-sim in $(RUN)/bin"
	@echo "make docs    docs/devices.md from the device profiles"
	@echo "make screenshots  the pictures of docs/console.md, taken in Debian's chromium"
	@echo "make lock    resolve the dependencies anew (needs uv)"
	@echo "make clean   remove environments and caches"

# The project itself is installed without build isolation: its build tool comes from the lock file, too. An environment
# is made anew when its lock file changes, so that nothing of the one before stays in it.
define environment
	@echo "making $(1) from $(2)"
	@rm -rf $(1)
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, this is " + sys.version) if sys.version_info < (3, 11) else 0'
	@$(PYTHON) -m venv $(1)
	@$(1)/bin/python $(PIP) install --require-hashes --requirement $(2)
	@$(1)/bin/python $(PIP) install --no-deps --no-build-isolation --editable .
	@touch $(1)/ready
endef

# A service may not write beside the code, and would compile it anew at every start.
COMPILED := wire device_profiles edge_agent aggregator simulators

$(RUN)/ready: requirements.lock pyproject.toml
	$(call environment,$(RUN),requirements.lock)

$(DEV)/ready: requirements-dev.lock pyproject.toml
	$(call environment,$(DEV),requirements-dev.lock)

commands: $(RUN)/ready
	@$(RUN)/bin/python -m compileall -q $(COMPILED)

demo: $(RUN)/ready
	@# Ctrl-C is how a demo without an end ends: no error of make's.
	@trap : INT; $(RUN)/bin/campus-sim demo $(ARGS) || [ $$? -eq 130 ]

test: $(DEV)/ready
	$(DEV)/bin/python -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

simulate: $(DEV)/ready
	$(DEV)/bin/python -m tests.campus.replay $(or $(ARGS),--seeds 1000)

bench: $(DEV)/ready
	@exec $(DEV)/bin/python -m tests.bench $(ARGS)

check: $(DEV)/ready
	$(DEV)/bin/ruff check .
	$(DEV)/bin/ruff format --check .
	$(DEV)/bin/mypy
	$(DEV)/bin/lint-imports

# Nothing of the machine or the registry used may stand in a lock file; tests/packaging looks.
RESOLVE := uv pip compile - pyproject.toml --generate-hashes --universal --python-version 3.11 \
	--no-header --no-emit-index-url --no-emit-find-links --quiet
lock:
	printf 'hatchling\neditables\n' | $(RESOLVE) --extra aggregator --extra simulators --output-file requirements.lock
	printf 'hatchling\neditables\n' | $(RESOLVE) --extra dev --output-file requirements-dev.lock

docs: $(RUN)/ready
	$(RUN)/bin/campus-profile page docs/devices.md

screenshots: $(DEV)/ready
	$(DEV)/bin/python -m tests.console.screenshots docs/console

clean:
	rm -rf $(RUN) $(DEV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
