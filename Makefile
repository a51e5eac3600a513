# Everything here may be run on a new Debian 12 or 13 with Python, make and root; each target prepares what it needs.

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/holdfast
VENV := $(CACHE)/venv
SCENARIO := default

export PATH := $(VENV)/bin:$(CACHE)/tools/bin:$(PATH)
export LC_ALL := C.UTF-8
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/playbooks/collections
export ANSIBLE_CONNECTION_PLUGINS := $(CURDIR)/tests/connection
export MOLECULE_COMMAND_BORDERS := false
# Three digits that tell this checkout's test hosts and their ports from another's on the same machine.
export HOLDFAST_CHECKOUT := $(shell printf %s '$(CURDIR)' | cksum | cut -d' ' -f1 | tail -c4)

.PHONY: help setup demo demo-clean test lint unit sanity molecule zfs shell bench clean
.NOTPARALLEL:

help: ## Print the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

setup: ## Prepare what the other targets need
	@python3 -m tests.setup python tools images

demo: setup ## Protect a host that lives in a container, break something, restore it
	python -m demo.run

demo-clean: ## Remove what the demo left running
	python3 -m demo.run --clean

test: lint unit sanity molecule zfs ## Run every check, as continuous integration does

lint: prepare-python ## Check style and types
	ruff check
	ruff format --check
	mypy
	yamllint --strict .
	ansible-lint
	antsibull-changelog lint

unit: prepare-python prepare-tools ## Run the unit tests
	pytest

sanity: prepare-python ## Run ansible-test sanity
	python -m tests.setup.sanity

molecule: setup ## Run a scenario on test hosts: SCENARIO=default
	molecule test --scenario-name $(SCENARIO)

shell: setup ## Open a shell with the tools and variables of the tests
	@$${SHELL:-sh}

zfs: prepare-zfs ## Run the scenario on a virtual machine with OpenZFS
	$(MAKE) molecule SCENARIO=zfs

bench: export PYTHONPATH := $(CURDIR)/tests/path
bench: setup prepare-zfs ## Measure what a run costs over restic itself
	python -m tests.bench

clean: ## Remove test hosts, caches of tools, and prepared things that are out of date
	python3 -m tests.hosts stop-all
	python3 -m tests.setup prune
	rm -rf .ansible .hypothesis .mypy_cache .pytest_cache .ruff_cache tests/output

prepare-%:
	@python3 -m tests.setup $*
