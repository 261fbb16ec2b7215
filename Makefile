# Every target makes the environment it needs, from nothing but `python3` with venv and pip (scripts/environment.py).
# demo and test are all a newcomer needs; check, test, corpus and demo are what CI runs (.ci/run).

.PHONY: help demo test test-all check fix bench bench-recall bench-dialects soak docs corpus lock env clean
.DEFAULT_GOAL := help

RUN := .make/run/bin
DEV := .make/dev/bin
MADE = python=$$(scripts/find-python) && "$$python" scripts/environment.py
# Two and more processes where there are cores for them; `make test PYTEST="-k name"` adds to pytest's command.
PYTEST ?=
TESTS = -m pytest -n auto --maxprocesses 4 --dist worksteal

help: ## what there is
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

demo: ## a real model on this machine calls tools and streams (fetches its weights once: about 490 MB)
	@$(MADE) run
	@$(RUN)/python scripts/demo.py

test: ## the test suite
	@$(MADE) dev
	@$(DEV)/python $(TESTS) $(PYTEST)

test-all: ## the test suite on each further interpreter there is
	@$(MADE) dev
	@$(DEV)/python scripts/test_all.py $(PYTEST)

check: ## format, lint and types
	@$(MADE) dev
	$(DEV)/ruff format --check --quiet .
	$(DEV)/ruff check --quiet .
	$(DEV)/mypy

fix: ## what `check` and the documentation's tables ask for, where a program can do it
	@$(MADE) dev
	$(DEV)/ruff check --fix --quiet . || true
	$(DEV)/ruff format --quiet .
	$(DEV)/python scripts/docs_tables.py

bench: ## the benchmark's table, beside the same job by hand (benchmarks/)
	@$(MADE) dev
	@$(DEV)/python -m benchmarks

bench-recall: ## how well memory finds what answers a question, and what that costs (benchmarks/recall/)
	@$(MADE) dev
	@$(DEV)/python -m benchmarks.recall

soak: ## minutes of runs, streams, cancellations and errors: memory, tasks and files must stay flat
	@$(MADE) dev
	@$(DEV)/python -m benchmarks.soak

docs: ## the documentation as a site, in English and Chinese (site/)
	@$(MADE) dev
	@$(DEV)/python scripts/build_docs.py

bench-dialects: ## what each dialect makes of recorded texts, of our own and of damaged calls; writes the table of docs/
	@$(MADE) dev
	@$(DEV)/python scripts/bench_dialects.py

corpus: ## recorded streams and answers of many models ($$LUMOSAI_TEST_DATA, by default ../shared/data)
	@$(MADE) dev
	@$(DEV)/python scripts/corpus.py

lock: ## writes requirements/*.txt anew; UPGRADE=1 takes newer versions
	@$(MADE) lock
	@.make/lock/bin/python scripts/lock.py $(if $(UPGRADE),--upgrade)

env: ## the developers' environment, for an editor: .make/dev
	@$(MADE) dev

clean: ## removes what the other targets made; fetched weights stay in the cache
	rm -rf .make site dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
