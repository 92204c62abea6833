# make demo   a dancing video from examples/, from nothing but Python 3.11 and make
# make test   lint, types, tests
# make tiny-model   the built-in model from nothing: puppets, VAE, encoders, stages 1 and 2; hours on a CPU
# make tiny-card    every number of its card: an hour on a CPU
#
# TORCH_INDEX=URL   where PyTorch itself comes from, e.g. that of its CPU wheels on a machine without a GPU
# PYTHON=python     the Python (3.11 or newer) that .venv is made with
# PYTEST_ARGS=...   replaces the arguments of pytest
# TINY_MACHINE=gpu   settings of tiny-model for one large GPU

PYTHON ?= $(shell command -v python3.11 || command -v python3 || command -v python)
TORCH_INDEX ?=
PYTEST_ARGS ?= -n 2

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
DEMO := build/demo
BUILT_IN := musedance/weights/tiny

TINY := build/tiny
TINY_MACHINE ?= cpu
TINY_CONFIGS := configs/tiny$(if $(filter gpu,$(TINY_MACHINE)),/gpu)
TINY_WORLD := --moves-per-clip 1 --portraits --kinds doll,doll,teddy \
	--backgrounds gradient,backdrop,clouds,stage --genres house,rock,hip-hop,waltz,latin,chiptune --bpm 80-140 \
	--moves wave_right,side_step,kick_left,point_left,sway,jumping_jack,arm_swing,bounce

# Of a training whose folder the target is in: one that was cut short goes on from its last checkpoint.
TINY_RUN = $(@D:%/model=%)
TINY_TRAINING = data.root=$(TINY)/puppets data.cache=$(TINY)/puppets/cache output=$(TINY_RUN) \
	$(if $(wildcard $(TINY_RUN)/checkpoints/*),--resume latest)
# A training that was told to stop has saved where it is and ends well, but has written no model.
TRAINED = @test -f $@ || { echo "not trained to the end: the same command goes on" >&2; exit 1; }

# Compiled, stage 2 takes two thirds of the time; PyTorch needs a C++ compiler for that on a CPU.
TINY_COMPILE := $(if $(shell command -v g++),memory.compile=true)

COMMA := ,
ABLATION := $(TINY)/ablation
ABLATED := music music_motion music_motion_beat
ABLATION_TEST := --data $(TINY)/test --clips 32 --num-frames 24 --reference-from other --steps 12 --shown 6

.PHONY: demo test tiny-model tiny-card tiny-ablation clean

demo: .venv/installed
	@mkdir -p $(DEMO)
	$(BIN)/python -m musedance infer --image examples/dancer.png --music examples/beat_120bpm.mp3 \
		--prompt "a person waves with the right hand" --duration 4 \
		--output $(DEMO)/dancer.mp4 --overwrite --preview --seed 0

test: .venv/installed-test
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# A step that was cut short goes on where it was.
tiny-model: $(TINY)/mean/model_index.json
	mkdir -p $(BUILT_IN) && cp -r $(TINY)/mean/. $(BUILT_IN)

$(TINY)/puppets/dataset.json: | .venv/installed-test
	$(BIN)/python -m musedance puppets $(TINY)/puppets --clips 1920 --seed 1 $(TINY_WORLD)

$(TINY)/base/model_index.json: $(TINY)/puppets/dataset.json
	$(BIN)/python -m musedance tiny base $(TINY)/base --data $(TINY)/puppets

$(TINY)/stage1/model/model_index.json: $(TINY)/base/model_index.json
	$(BIN)/python -m musedance dataset cache $(TINY)/puppets --model $(TINY)/base
	$(BIN)/python train_stage1.py --config $(TINY_CONFIGS)/stage1.yaml model=$(TINY)/base $(TINY_TRAINING)
	$(TRAINED)

$(TINY)/stage2/model/model_index.json: $(TINY)/stage1/model/model_index.json
	$(BIN)/python train_stage2.py --config $(TINY_CONFIGS)/stage2.yaml model=$(TINY)/stage1/model \
		$(TINY_TRAINING) $(TINY_COMPILE) save_dtype=float32
	$(TRAINED)

# Half of the samples have the music of another part of their clip: where it says otherwise than the beats, these lead.
# The model that this begins with is in float32, as the encoders are that the cached features come from.
$(TINY)/stage2_beats/model/model_index.json: $(TINY)/stage2/model/model_index.json
	$(BIN)/python train_stage2.py --config $(TINY_CONFIGS)/stage2.yaml model=$(TINY)/stage2/model \
		$(TINY_TRAINING) $(TINY_COMPILE) steps=1000 seed=1 optim.lr=1.5e-3 ema_decay=0.998 \
		music_shift=0.5 validation.every=1000
	$(TRAINED)

# Before that part the music was followed where it was right, after it the beats where they were: the mean does both.
$(TINY)/mean/model_index.json: $(TINY)/stage2_beats/model/model_index.json
	$(BIN)/python -m musedance tiny mean $(TINY)/mean $(TINY)/stage2/model $(TINY)/stage2_beats/model

tiny-card: $(TINY)/puppets/dataset.json $(TINY)/test/dataset.json $(TINY)/long/dataset.json
	$(BIN)/python -m musedance tiny prove --learned $(TINY)/puppets --test $(TINY)/test --long $(TINY)/long \
		--output $(TINY)/proof --steps 12 --card $(BUILT_IN)/README.md

$(TINY)/test/dataset.json: | .venv/installed-test
	$(BIN)/python -m musedance puppets $(TINY)/test --clips 128 --seed 2 --split test $(TINY_WORLD)

$(TINY)/long/dataset.json: | .venv/installed-test
	$(BIN)/python -m musedance puppets $(TINY)/long --clips 12 --seed 3 --frames 144 --split test $(TINY_WORLD)

# The model's own spatial weights, which stage 2 trained further, with modules that begin anew: as stage 1 would leave
# them with longer training, and the row without modules.
tiny-ablation: $(ABLATED:%=$(ABLATION)/%/model/model_index.json) $(TINY)/test/dataset.json
	$(BIN)/python -m musedance ablate $(TINY)/renewed $(ABLATED:%=$(ABLATION)/%/model) \
		$(ABLATION_TEST) --output $(ABLATION)/trainings
	$(BIN)/python -m musedance ablate --knock-out $(BUILT_IN) $(ABLATION_TEST) --output $(ABLATION)/knock_outs

$(TINY)/renewed/model_index.json: $(TINY)/puppets/dataset.json
	$(BIN)/python -m musedance tiny renew $(TINY)/renewed --model $(BUILT_IN)
	$(BIN)/python -m musedance dataset cache $(TINY)/puppets --model $(TINY)/renewed

$(ABLATION)/%/model/model_index.json: $(TINY)/renewed/model_index.json
	$(BIN)/python train_stage2.py --config configs/tiny/stage2.yaml model=$(TINY)/renewed $(TINY_TRAINING) \
		"modules=[$(subst _,$(COMMA),$*)]" steps=500 freeze_spatial=true ema_decay=0.99 validation.every=0 checkpoint.every=250
	$(TRAINED)

clean:
	rm -rf build .venv .mypy_cache .pytest_cache .ruff_cache *.egg-info

# Each stamp is written last, so that a step that failed is done again.
.venv/created:
	@test -n "$(PYTHON)" || { echo "no Python found: install Python 3.11 or pass PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than 3.11: pass PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	touch $@

# PyTorch goes first and alone, because it may come from an index of its own.
.venv/torch: .venv/created constraints.txt
	$(PIP) install $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) "$$(grep '^torch==' constraints.txt)"
	touch $@

.venv/installed: .venv/torch setup.cfg pyproject.toml
	$(PIP) install -c constraints.txt -e .
	touch $@

.venv/installed-test: .venv/installed
	$(PIP) install -c constraints.txt -e ".[test]"
	touch $@
