# Everything a person or a machine needs to start, test and check this repository. `make` alone lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
READY := $(VENV)/.ready
CYCLONEDX := 7.5.0

.PHONY: help run test coverage lint bench setup wheel sbom lock clean
help:
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

run: setup ## start everything here against the exchange simulator and print the page's URL (ARGS=--live: real exchanges)
	@$(BIN)/priceverse up $(ARGS)

test: setup ## run the whole suite against real Redis and PostgreSQL that it starts itself
	@$(BIN)/python tests/web/obtain.py || true
	@$(BIN)/python tests/programs.py || true
	@$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder $(ARGS)

coverage: export COVERAGE_FILE = $(CURDIR)/build/coverage/data
coverage: setup ## run the suite and say how much of each package it covers, whatever process ran it; at least 90 %
	@rm -rf build/coverage && mkdir -p build/coverage
	@$(BIN)/coverage run -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder $(ARGS); status=$$?; \
		$(BIN)/coverage combine --quiet 2>/dev/null; \
		$(BIN)/coverage json --quiet -o - | $(BIN)/python tests/covered.py && exit $$status

lint: setup ## format check, lint, types, import contracts, dependencies
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/deptry .

bench: setup ## run the benches: figures and ratios against a peer on the same work
	@for bench in tests/bench/[a-z]*.py; do echo "== $$bench"; PYTHONPATH=. $(BIN)/python $$bench || exit 1; done

setup: $(READY) ## create .venv from the hash-locked requirements: uv does it in an eighth of pip's time, pip where it cannot

$(READY): requirements.txt pyproject.toml priceverse/web/package-lock.json
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "Python 3.11 or newer is needed: install it or say make PYTHON=/path/to/python3"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) >/dev/null \
		|| { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment: apt-get install python3-venv"; exit 1; }
	@echo "installing the locked requirements into $(VENV)"
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.txt > $(VENV)/uv.txt
	@$(PIP) --no-compile --require-hashes --requirement $(VENV)/uv.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --requirement requirements.txt \
		|| $(PIP) --require-hashes --requirement requirements.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib priceverse supervisor # whoever runs it may not write here
	@$(BIN)/python -m priceverse.web.fetch --dev
	@touch $(READY)

wheel: setup ## build sdist and wheel into dist/, the page's chart library in them
	@$(BIN)/python -c 'from setuptools import build_meta as b; b.build_sdist("dist"); b.build_wheel("dist")' > $(VENV)/build.log 2>&1 \
		|| { tail -5 $(VENV)/build.log; exit 1; }
	@ls dist/*.tar.gz dist/*.whl

sbom: setup ## say of what the environment and the page are made: CycloneDX into dist/
	@test -x build/sbom/bin/cyclonedx-py || { $(PYTHON) -m venv build/sbom && build/sbom/bin/pip install --quiet cyclonedx-bom==$(CYCLONEDX); }
	@mkdir -p dist
	@build/sbom/bin/cyclonedx-py environment --pyproject pyproject.toml --output-file dist/priceverse.cdx.json $(BIN)/python
	@build/sbom/bin/cyclonedx-py requirements --output-file dist/requirements.cdx.json requirements.txt
	@cp priceverse/web/package-lock.json dist/page.package-lock.json
	@ls dist/*.json

lock: setup ## resolve requirements.txt anew from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --all-extras pyproject.toml --output-file requirements.txt --custom-compile-command "make lock"

clean: ## remove the environment and the state of make run
	rm -rf $(VENV) .priceverse build dist *.egg-info
