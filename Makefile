# Needs Python 3.11 or newer and a way to the package registries; everything else is fetched.
VENV := $(if $(UV_PROJECT_ENVIRONMENT),$(UV_PROJECT_ENVIRONMENT),.venv)
READY := $(VENV)/.pullpass-ready
PYTEST_ARGS ?=
KILLS ?= 200
MINUTES ?= 20
SOAK_ARGS ?=

.DEFAULT_GOAL := help
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules --no-print-directory

.PHONY: help run test test-web test-agent faults soak demo screenshots check lint types fmt environment kube-assets test-scale clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(READY) ## start Pullpass on http://127.0.0.1:8080 (PULLPASS_PORT), data in ./data
	@exec scripts/run.sh "$(VENV)"

PYTEST := "$(VENV)/bin/pytest" --numprocesses auto --dist loadfile

test: $(READY) ## the tests, against real registries and databases (PYTEST_ARGS="-k match")
	@scripts/test-tools.sh
	@exec $(PYTEST) --ignore tests/web --ignore tests/agent --ignore tests/faults $(PYTEST_ARGS)

test-web: $(READY) ## the tests of the web page, in a real browser
	@scripts/test-tools.sh
	@exec $(PYTEST) tests/web $(PYTEST_ARGS)

test-agent: $(READY) ## the tests of the cluster agent, against a real API server where there is one
	@scripts/test-tools.sh
	@exec $(PYTEST) tests/agent $(PYTEST_ARGS)

faults: $(READY) ## kill -9, full disks, lost upstreams, jumping clocks: nothing is lost (KILLS=200)
	@scripts/test-tools.sh faketime postgresql
	@PULLPASS_TEST_KILLS=$(KILLS) "$(VENV)/bin/pytest" --numprocesses auto --dist worksteal \
		tests/faults $(PYTEST_ARGS)

soak: $(READY) ## mixed load and faults for MINUTES=20: nothing lost, nothing grows (SOAK_ARGS=--sqlite)
	@scripts/test-tools.sh postgresql
	@exec "$(VENV)/bin/python" -m bench.soak $(MINUTES) $(SOAK_ARGS)

demo: $(READY) ## a real registry, a pull, a changed password, a rotation: step by step
	@scripts/test-tools.sh docker-registry skopeo umoci
	@exec "$(VENV)/bin/python" -m scripts.demo

screenshots: $(READY) ## every web page as a picture, light, dark and phone, in ./screenshots
	@scripts/test-tools.sh chromium docker-registry skopeo umoci
	@exec "$(VENV)/bin/python" -m scripts.screenshots

check: lint types ## lint and types

lint: $(READY) ## style of the code, and of its layout
	"$(VENV)/bin/ruff" check
	"$(VENV)/bin/ruff" format --check

types: $(READY) ## strict types
	"$(VENV)/bin/mypy" -p pullpass -p scripts -p tests

fmt: $(READY) ## lay the code out, and fix what can be fixed
	"$(VENV)/bin/ruff" check --fix
	"$(VENV)/bin/ruff" format

kube-assets: ## a real kube-apiserver for the tests of the cluster agent, built once (needs Go)
	@scripts/test-tools.sh etcd-server
	@scripts/kube-assets.sh

test-scale: $(READY) ## the cluster agent on 1,000 namespaces (after kube-assets; some minutes)
	@PULLPASS_TEST_NAMESPACES=1000 "$(VENV)/bin/pytest" -s tests/agent/test_scale.py

environment: $(READY) ## only the virtual environment, as uv.lock says
	@:

$(READY): pyproject.toml uv.lock scripts/uv scripts/environment.sh
	@scripts/environment.sh "$(VENV)"
	@touch $@

clean: ## remove the environment and the caches; ./data stays
	rm -rf "$(VENV)" .tools .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
