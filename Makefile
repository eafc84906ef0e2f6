# Bindery's commands. `make up` and `make test` set up what they need, on any machine with Python 3.11+ and make.
SHELL := /bin/bash
PYTHON := $(shell for p in python3.13 python3.12 python3.11 python3; do $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
UV := $(shell command -v uv || echo .cache/uv/bin/uv)
RUN := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help up test lint format bench simulate simulate-planted simulate-scale cluster-build cluster cluster-down test-cluster bench-cluster build audit clean
SEEDS ?= 1000
FIRST ?= 1
ARCHITECTURE ?= x86_64
PACKAGES := layers/bindery:layers/builder:infra/local

help: ## lists these commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

up: .venv/ready ## runs Bindery on this machine until Ctrl-C
	@exec $(RUN) -m bindery_local

test test-cluster: export PYTHONDONTWRITEBYTECODE = # each process would compile anew what it imports

test: .venv/ready ## runs all tests that can run on this machine
	@folder=$$(mktemp -d /tmp/b.XXXX) && trap 'rm -rf '$$folder EXIT && \
		$(RUN) -m pytest -n 3 --dist loadscope --durations=10 --basetemp=$$folder/t # short, because the paths of a browser's sockets are limited

lint: .venv/ready ## checks types, style, import rules, template
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	.venv/bin/lint-imports --no-cache
	.venv/bin/cfn-lint template.yaml

format: .venv/ready ## formats the code
	$(RUN) -m ruff format .
	$(RUN) -m ruff check --fix .

bench: .venv/ready ## compares the time of a launch with that of a plain start of JupyterLab
	@$(RUN) -m tests.performance.bench

simulate: .venv/ready ## runs seeded simulations with faults everywhere (SEEDS=1000 FIRST=1)
	@$(RUN) -m tests.simulation seeds --first $(FIRST) --seeds $(SEEDS)

simulate-planted: .venv/ready ## plants bugs in copies of the code; the simulation has to find each
	@$(RUN) -m tests.simulation planted

simulate-scale: .venv/ready ## simulates ten to ten thousand launches, and prints the cost of one
	@$(RUN) -m tests.simulation scale

cluster-build: .venv/ready ## builds the Kubernetes of `make cluster` and the tests, as root; stored outside the checkout
	@PYTHONPATH=$(PACKAGES) $(RUN) -m tests.cluster build

cluster: .venv/ready ## builds and starts a real Kubernetes for tests, as root; it runs until `make cluster-down`
	@PYTHONPATH=$(PACKAGES) $(RUN) -m tests.cluster up

cluster-down: .venv/ready ## stops that Kubernetes and removes all of it, except the files of cluster-build
	@PYTHONPATH=$(PACKAGES) $(RUN) -m tests.cluster down

test-cluster: .venv/ready ## runs only the tests that need that Kubernetes; starts one if none runs
	@$(RUN) -m pytest tests/cluster tests/contract/test_session_launcher.py tests/e2e/test_kubernetes.py \
		tests/infra/test_ended_page.py tests/infra/test_kubernetes.py tests/infra/test_kubernetes_network.py

bench-cluster: .venv/ready ## compares launches on it with the same Pod by hand; sweeps over ten thousand sessions (an hour)
	@PYTHONPATH=$(PACKAGES) $(RUN) -m tests.performance.cluster
	@PYTHONPATH=$(PACKAGES) $(RUN) -m tests.performance.cull

build: .venv/ready .cache/sam/ready ## builds the packages for deployment in .aws-sam/build, and prints their sizes (ARCHITECTURE=x86_64)
	@$(RUN) -m infra.packages build --sam $(CURDIR)/.cache/sam/bin/sam --architecture $(ARCHITECTURE)

build-Library: .venv/ready # called by `sam build` with ARTIFACTS_DIR
	@$(RUN) -m infra.packages library --uv $(UV) --architecture $(ARCHITECTURE) "$(ARTIFACTS_DIR)"

build-BuilderCode: .venv/ready # called by `sam build` with ARTIFACTS_DIR
	@$(RUN) -m infra.packages.builder_layer --uv $(UV) "$(ARTIFACTS_DIR)"

build-%: # a function's own files; `sam build` calls this in a copy of the function's folder. All else is in the layer
	@cp -p *.* "$${ARTIFACTS_DIR:?}" # files only: a folder can only be byte code of this machine's Python

audit: .venv/ready .cache/audit/ready ## reports known vulnerabilities of the locked packages in one line; never fails
	@$(RUN) -m infra.supply.audit --uv $(UV) --pip-audit .cache/audit/bin/pip-audit

clean: ## removes all generated files here; files in BINDERY_HOME stay
	rm -rf .venv .cache .aws-sam .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.cache/uv/bin/uv:
	@test -n "$(PYTHON)" || { echo "Bindery needs Python 3.11 or newer on PATH."; exit 1; }
	@$(PYTHON) -m venv .cache/uv || { echo "Install Python's venv module (Debian: apt install python3-venv)."; exit 1; }
	@.cache/uv/bin/pip install --quiet --disable-pip-version-check uv

.venv/ready: pyproject.toml uv.lock | $(UV)
	@test -e $@ || echo "Setting up .venv, once: a minute or so." >&2
	@$(UV) sync --frozen --quiet --python $(PYTHON) --no-python-downloads
	@touch $@

.cache/sam/ready: Makefile | $(UV)
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) --no-python-downloads .cache/sam
	@$(UV) pip install --quiet --python .cache/sam/bin/python aws-sam-cli==1.170.0
	@touch $@

.cache/audit/ready: Makefile | $(UV)
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) --no-python-downloads .cache/audit
	@$(UV) pip install --quiet --python .cache/audit/bin/python pip-audit==2.10.1
	@touch $@

.cache/ministack/ready: Makefile | .venv/ready # replaces AWS in tests, with AWS' own SAM transform
	@$(UV) venv --quiet --allow-existing --python "$$($(RUN) -m infra.packages python)" .cache/ministack
	@$(UV) pip install --quiet --python .cache/ministack/bin/python ministack==1.5.33 aws-sam-translator==1.115.0
	@touch $@
