# make lab: set up and open the workbench.   make test: set up and run the tests.
PYTHON ?= python3
BIN := .venv/bin
LAB_ARGS ?=
PYTEST_ARGS ?=
BENCH_ARGS ?= all

.PHONY: lab test workshop-test check format bench up down clean browser

lab: .venv/lab
	@$(BIN)/chatkit lab $(LAB_ARGS)

test: .venv/dev browser
	$(BIN)/pytest -n 3 --dist loadfile $(PYTEST_ARGS)

# Every notebook of the workshop, with its solutions and with wrong answers, on three brokers.
workshop-test: .venv/dev
	$(BIN)/pytest -m '' tests/test_workshop_notebooks.py -n 2 --dist worksteal $(PYTEST_ARGS)

check: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/dev
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

up: .venv/lab
	@$(BIN)/chatkit up --detach

down: .venv/lab
	@$(BIN)/chatkit down

# Removes what the other words made in this folder; messages live elsewhere and stay.
clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "chatkit needs Python 3.11 or newer with venv and pip (Debian: apt-get install python3-venv)."; \
	  echo "If it has another name: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv .venv

.venv/lab: .venv/bin/python pyproject.toml
	@echo "Installing chatkit and what it stands on into .venv (once, a minute or two)"
	$(BIN)/python -m pip install --disable-pip-version-check -e '.[local]'
	@touch $@

.venv/dev: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --disable-pip-version-check -e '.[local,dev]'
	@touch .venv/lab $@

# The browser that the tests drive: the system's, else Debian's package, else playwright's own.
browser: .venv/dev
	@if command -v chromium chromium-browser google-chrome >/dev/null; then :; \
	elif command -v apt-get >/dev/null; then \
	  sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$sudo apt-get update -q && $$sudo apt-get install -y -q --no-install-recommends chromium; \
	else $(BIN)/playwright install chromium; fi
