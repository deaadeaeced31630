# `make run` opens the hub on a small real example, `make test` runs every check, `make parity` runs the tools that we compare with,
# `make audit` looks for known holes in the packages; each sets up what it needs.
PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check
PARITY := .venv-parity
PARITY_PIP := $(PARITY)/bin/python -m pip --disable-pip-version-check
UAC := $(VENV)/bin/uac
HOST ?= 127.0.0.1
PORT ?= 7860

# the example needs no network: say so unless the user decided otherwise
export HF_HUB_OFFLINE ?= 1
export GRADIO_ANALYTICS_ENABLED ?= False
export TOKENIZERS_PARALLELISM ?= false

.PHONY: run test parity audit lint types docs clean
.DELETE_ON_ERROR:

run: export UAC_DATA ?= unified-audiocaps
run: export UAC_DB ?= sqlite:///unified-audiocaps-hub/hub.db
run: $(VENV)/.space
	$(UAC) build sample
	$(UAC) submit space/examples/attentive-listener.jsonl --benchmark sample --system "Attentive listener" --training-data none
	$(UAC) submit space/examples/tag-template.jsonl --benchmark sample --system "Tag template" --training-data none
	$(UAC) submit space/examples/one-caption-for-all.jsonl --benchmark sample --system "One caption for all" --training-data none
	$(UAC) work --once
	@echo "The hub is at http://$(HOST):$(PORT) (Ctrl-C ends it)."
	$(UAC) serve --host $(HOST) --port $(PORT)

test: lint types
	$(VENV)/bin/uac docs --check
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile

# as in CI, what is missing fails: a comparison that did not run proves nothing
parity: $(VENV)/.dev $(PARITY)/.peers
	CI=true $(VENV)/bin/python -m pytest -m parity tests/parity

# asks PyPI's advisories, so it needs the network; packages that PyPI does not know by that version fail it too
audit: $(VENV)/.dev
	$(VENV)/bin/pip-audit --strict --requirement constraints.txt --no-deps --disable-pip

lint: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

# type checkers do not see pyproject's package map: give them a folder that looks like the installed package
types: $(VENV)/.dev
	mkdir -p .links/unified_audiocaps
	for folder in dataset_scripts evaluators leaderboard space; do ln -sfn ../../$$folder .links/unified_audiocaps/$$folder; done
	MYPYPATH=.links $(VENV)/bin/mypy --config-file pyproject.toml -p unified_audiocaps

docs: $(VENV)/.dev
	$(UAC) docs

clean:
	rm -rf $(VENV) $(PARITY) .links .mypy_cache .pytest_cache .ruff_cache build *.egg-info

# torch first and alone: any other request would pull its newest build with gigabytes of CUDA packages
$(VENV)/.torch:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet torch==2.13.0
	touch $@

$(VENV)/.space: $(VENV)/.torch pyproject.toml constraints.txt
	$(PIP) install --quiet --constraint constraints.txt --editable ".[space]"
	touch $@

$(VENV)/.dev: $(VENV)/.torch pyproject.toml constraints.txt
	$(PIP) install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@ $(VENV)/.space

# aac-metrics shares no environment with today's packages: it asks for msclap, which asks for old ones and for a torchaudio that no
# longer exists. So it comes without what it asks for, msclap stays away (tests/parity/aac_peer.py says how), and pip checks nothing.
$(PARITY)/.peers: tests/parity/constraints.txt
	$(PYTHON) -m venv $(PARITY)
	$(PARITY_PIP) install --quiet torch==2.13.0
	$(PARITY_PIP) install --quiet --constraint $< sentence-transformers torchmetrics transformers numpy pyyaml tqdm requests
	$(PARITY_PIP) install --quiet --constraint $< --no-deps aac-metrics pythonwrench pycocoevalcap
	touch $@
