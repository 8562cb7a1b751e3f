# Every target works alone on a fresh machine with Python 3.11 and make.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: install docs demo test test-slow test-all check format map bench quality faces figures reproductions control fuzz clean

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt torch==2.13.0
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[tabular,arrays,images,video,remote,track,flow,dev]'
	touch $@

demo: install
	$(BIN)/isthmus fit conv_vae glyphs --epochs 12 --out runs/demo --overwrite

# the fast tests; the slow ones; both
test: install
	$(BIN)/python -m pytest

test-slow: install
	$(BIN)/python -m pytest -m slow

test-all: install
	$(BIN)/python -m pytest -m "slow or not slow"

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

map: install
	$(BIN)/python tests/house.py --write

docs: install .venv/docs-installed
	$(BIN)/python -m sphinx -W --keep-going -n -q -d build/docs-doctrees docs build/docs
	$(BIN)/python docs/check_links.py build/docs
	@echo "Open build/docs/index.html in a browser."

.venv/docs-installed: .venv/installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@

bench: install .venv-peers/installed
	$(BIN)/python benchmarks/speed
	$(BIN)/python benchmarks/contractive.py

quality: install .venv-peers/installed
	$(BIN)/python benchmarks/quality

# exactly this torch comes first: a looser requirement would fetch gigabytes of CUDA
.venv-peers/installed: benchmarks/peers.txt constraints.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/pip install --quiet --constraint constraints.txt torch==2.13.0
	.venv-peers/bin/pip install --quiet --constraint constraints.txt --requirement benchmarks/peers.txt
	touch $@

faces: install
	$(BIN)/python benchmarks/denoising.py

figures: install
	$(BIN)/python benchmarks/mnist_figures.py

reproductions: install
	$(BIN)/python -m isthmus.papers.page benchmarks/results docs/reproductions.md --pictures docs/pictures

control: install
	$(BIN)/pip install --quiet --constraint constraints.txt --requirement examples/control/requirements.txt
	$(BIN)/python examples/control

fuzz: install
	-$(BIN)/pip install --quiet --constraint constraints.txt atheris
	$(BIN)/python benchmarks/fuzzing.py

clean:
	rm -rf .venv .venv-peers build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
