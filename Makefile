# The usual jobs. Every target makes its own environment first: .venv, with uv where it is installed, else venv and pip.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# What to train: a synthetic or public corpus, or a path to a file of pairs; its token level; its cell.
DATA ?= phrasebook
LEVEL ?=
CELL ?=
# More settings, e.g. SET="train.max_epochs=3 model.dropout=0.1".
SET ?=
# Options of `wordseq train` and `wordseq bench`, e.g. TRAIN=--tensorboard.
TRAIN ?=
BENCH ?=

# Names may have spaces and what the shell minds. make itself splits at spaces: meanwhile they are <>, or ? for a pattern.
empty :=
space := $(empty) $(empty)
quoted = '$(subst ','\'',$(1))'
given = $(if $(filter command environment,$(origin $(1))),$(value $(1)),$($(1)))
PATTERN = $(subst $(space),?,$(value DATA))
NAME = $(subst <>,$(space),$(basename $(notdir $(subst $(space),<>,$(value DATA)))))

PRESET := $(if $(wildcard wordseq/config/presets/$(PATTERN).toml),$(value DATA))
CONFIG ?= $(firstword $(PRESET) $(wildcard experiments/$(PATTERN).toml))
RUN ?= runs/$(NAME)$(if $(LEVEL),-$(LEVEL))$(if $(CELL),-$(CELL))
IS_FILE = $(or $(wildcard $(PATTERN)),$(findstring /,$(PATTERN)),$(filter %.tsv %.txt %.csv %.jsonl %.tmx %.po %.mo %.parquet %.gz %.xz %.zst %.zip,$(PATTERN)))
SOURCE = $(if $(CONFIG),,--set $(call quoted,data.$(if $(IS_FILE),train,corpus)=$(value DATA)))
SETS = $(foreach s,$(value SET),--set $(call quoted,$(s)))
SETTINGS = $(SOURCE) $(if $(LEVEL),--set data.level=$(LEVEL)) $(if $(CELL),--set model.cell=$(CELL)) $(SETS)
PRESET_OR_FILE = $(if $(CONFIG),$(call quoted,$(call given,CONFIG)))

# What to compare: every level with every cell, each with SEEDS seeds; other settings: VARY="model.attention=none,dot".
LEVELS ?= word
CELLS ?= lstm gru
SEEDS ?= 1
VARY ?=

# make itself ignores a misspelt variable, and would train something else.
KNOWN := PYTHON VENV BIN DATA LEVEL CELL SET TRAIN BENCH CONFIG RUN LEVELS CELLS SEEDS VARY SHELL MAKEFLAGS
UNKNOWN := $(filter-out $(KNOWN),$(foreach v,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(v)))),$(v))))
GUESS = import difflib, sys; print(*["; did you mean " + name + "?" \
  for name in difflib.get_close_matches(sys.argv[1].upper(), sys.argv[2:], 1)] or ["."])
ifneq ($(UNKNOWN),)
  $(error unknown variable $(firstword $(UNKNOWN))$(shell $(PYTHON) -c $(call quoted,$(GUESS)) $(call quoted,$(firstword $(UNKNOWN))) $(KNOWN)) Choose from $(KNOWN))
endif

GIVEN = $(foreach v,RUN DATA LEVEL CELL,$(filter command environment,$(origin $(v))))
EVAL_RUN = $(if $(strip $(GIVEN)),$(call given,RUN),$(or $(shell ls -td runs/*/ 2>/dev/null | head -n 1),$(RUN)))

# By a path, not by an import hook: a folder called wordseq, such as the clone seen from its parent, would hide the package.
EDITABLE := --config-settings editable_mode=compat

# What installs extras of the project into the environment. Modules are compiled when they are first imported: few of
# TensorFlow's are.
comma := ,
install = if command -v uv >/dev/null; then \
    uv pip install --quiet --python $(BIN)/python $(EDITABLE) -c constraints.txt -e '.[$(1)]'; \
  else \
    $(BIN)/python -m pip install -qq --no-compile --disable-pip-version-check $(EDITABLE) -c constraints.txt -e '.[$(1)]'; \
  fi

.PHONY: help train eval compare data bench dist docs notebooks test test-isa test-slow test-long check format constraints clean

help: ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

train: $(READY) ## train a run and score it: CELL=gru LEVEL=char DATA=tatoeba-fra-eng RUN=runs/mine SET="key=value ..."
	@$(BIN)/wordseq train $(PRESET_OR_FILE) --run $(call quoted,$(call given,RUN)) $(SETTINGS) $(TRAIN)

eval: $(READY) ## BLEU report of a run's held-out test split: RUN=runs/mine; without any variable, of the newest run
	@$(BIN)/wordseq eval $(call quoted,$(EVAL_RUN))

compare: $(READY) ## train what is missing, then compare: LEVELS="char word" CELLS="lstm gru" SEEDS=2 DATA=... SET="..."
	@$(BIN)/wordseq sweep $(PRESET_OR_FILE) --name $(call quoted,$(NAME)) --levels "$(LEVELS)" --cells "$(CELLS)" --seeds $(SEEDS) $(foreach v,$(value VARY),--vary $(call quoted,$(v))) $(SOURCE) $(SETS)

data: $(READY) ## fetch a public corpus: DATA=tatoeba-fra-eng
	@$(BIN)/wordseq data get $(call quoted,$(value DATA))

bench: $(READY) ## speed of training and decoding, against stock Keras and PyTorch: BENCH="--quick" or other options
	@$(BIN)/wordseq bench $(BENCH)

dist: $(READY) ## a wheel and a source archive, checked, in dist/
	@rm -rf dist
	@$(BIN)/python -m build --quiet .
	@$(BIN)/twine check --strict dist/*

docs: $(VENV)/.docs ## build the documentation's site into build/docs; a warning is an error
	@$(BIN)/python -m sphinx -b html -n -W --keep-going -E -q docs build/docs
	@echo "build/docs/index.html"

# Two at a time: each has stretches that use one core only.
notebooks: $(VENV)/.docs ## execute docs/notebooks into build/notebooks, from where make docs takes the outputs
	@rm -rf build/notebooks && mkdir -p build/notebooks && cp docs/notebooks/*.ipynb build/notebooks
	@printf '%s\0' build/notebooks/*.ipynb | xargs -0 -n 1 -P 2 $(BIN)/jupyter execute --inplace --timeout=600 --NbClientApp.log_level=WARN

test: $(READY) ## the tests, without those that train for minutes
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not slow"

# Without bfloat16: TensorFlow asks the processor, not oneDNN, whether it has it, and dies of the difference.
test-isa: $(READY) ## tests of what is computed, as a processor without AVX-512 computes it
	@XLA_FLAGS=--xla_cpu_max_isa=AVX2 ONEDNN_MAX_CPU_ISA=AVX2 $(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not slow" \
	    -k "not bfloat16" tests/unit/models tests/unit/training tests/unit/decoding tests/unit/vectors

test-slow: $(READY) ## complete trainings, processes of their own, and further combinations of what fast tests test
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "slow and not long"

test-long: $(READY) ## everything that make test leaves out, an hour or more: every cell in every place, corpora of any size
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile -m slow

check: $(READY) ## style, types, import order
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: $(READY) ## put the code into shape
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

constraints: $(VENV)/.docs ## write down the versions installed now
	@{ head -n 1 constraints.txt; $(BIN)/python -m pip freeze --exclude-editable | grep -vi '^pip=='; } > constraints.new
	@mv constraints.new constraints.txt

clean: ## remove the environment and caches; runs and data stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist *.egg-info

$(READY): pyproject.toml constraints.txt
	@echo "installing into $(VENV): about 2 GB with TensorFlow, one to five minutes ..."
	@if command -v uv >/dev/null; then uv venv --quiet --allow-existing --python $(PYTHON) $(VENV); else $(PYTHON) -m venv $(VENV); fi
	@$(call install,cpu$(comma)dev)
	@touch $@

# Sphinx and its theme: only for the site.
$(VENV)/.docs: $(READY)
	@$(call install,docs)
	@touch $@
