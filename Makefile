# make study   create the environment, then run the default study to its report
# make test    create the same environment, then pass the tests; test-slow: those of minutes
# make docs    create the same environment, then write the documentation to site/
PYTHON ?= python3
VENV   ?= .venv
CORES  ?= all
STUDY  ?= config/config.yaml

BIN := $(VENV)/bin
UV  := $(BIN)/uv
export PATH := $(abspath $(BIN)):$(PATH)
# Without kept bytecode every job would compile its imports again, 3 to 10 s a job.
unexport PYTHONDONTWRITEBYTECODE

study: $(VENV)/.ready
	@snakemake --cores $(CORES) --configfile $(STUDY)

test: $(VENV)/.ready
	@python -m pytest

test-slow: $(VENV)/.ready
	@python -m pytest -m slow

docs: $(VENV)/.ready
	@python -m sphinx --quiet --fail-on-warning --keep-going docs site
	@echo "documentation: site/index.html"

# uv reads none of pip's settings, so the folder of local wheels that pip knows is handed over.
$(VENV)/.ready: requirements.lock pyproject.toml
	@echo "crossmod: creating $(VENV) (about 1 minute, 1.5 GB)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile $$(grep '^uv==' requirements.lock)
	@links=$$($(BIN)/python -m pip config get global.find-links 2>/dev/null || echo "$$PIP_FIND_LINKS"); \
	  UV_FIND_LINKS="$$(echo $$links | tr ' ' ',')" $(UV) pip install --quiet --python $(BIN)/python -r requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@$(UV) pip check --quiet --python $(BIN)/python
	@touch $@

.PHONY: study test test-slow docs
