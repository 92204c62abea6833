"""The files of configs/: training configs, accelerate's configs, the Slurm script."""

import argparse
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils import FullyShardedDataParallelPlugin, patch_environment
from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env, prepare_simple_launcher_cmd_env
from torch import nn

from musedance.models import MuseDanceUNet
from musedance.training.config import Stage1Config, Stage2Config
from musedance.training.config_file import load_config
from musedance.weights.init import load_sections

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
TRAINING = {
    "stage1.yaml": Stage1Config,
    "stage2.yaml": Stage2Config,
    "stage2_24gb.yaml": Stage2Config,
    "tiny/stage1.yaml": Stage1Config,
    "tiny/stage2.yaml": Stage2Config,
    "tiny/gpu/stage1.yaml": Stage1Config,
    "tiny/gpu/stage2.yaml": Stage2Config,
}
PROCESSES = {  # processes on this machine, of so many machines
    "one_gpu.yaml": (1, 1),
    "eight_gpus.yaml": (8, 1),
    "four_nodes.yaml": (8, 4),
    "fsdp2.yaml": (8, 1),
    "deepspeed_zero2.yaml": (8, 1),
}
GIVEN = ["model=m", "output=o", "data.root=d"]


def test_every_file_is_tried_here() -> None:
    assert {str(path.relative_to(CONFIGS)) for path in CONFIGS.rglob("stage*.yaml")} == set(TRAINING)
    assert {path.name for path in (CONFIGS / "accelerate").iterdir()} == set(PROCESSES)
    assert [path.name for path in (CONFIGS / "slurm").iterdir()] == ["train.sbatch"]


@pytest.mark.parametrize("name", TRAINING)
def test_training_configs_need_nothing_but_what_only_the_user_knows(name: str) -> None:
    load_config(TRAINING[name], CONFIGS / name, GIVEN)


@pytest.mark.parametrize(("name", "batch_size"), [("stage1.yaml", 12), ("stage2.yaml", 2)])
def test_the_papers_settings(name: str, batch_size: int) -> None:
    config = load_config(TRAINING[name], CONFIGS / name, GIVEN)
    assert (config.clips.size, config.clips.fps, config.clips.num_frames) == (640, 12, 48)
    assert (config.batch_size, config.accumulation, config.steps) == (batch_size, 1, 30_000)
    assert (config.optim.name, config.optim.lr, config.optim.weight_decay) == ("adamw", 1e-5, 0.0)  # that is Adam
    assert (config.optim.schedule, config.optim.warmup_steps) == ("constant", 0)
    assert {config.drop.text, config.drop.reference, config.drop.music, config.drop.beats} == {0.05}
    assert (config.memory.precision, config.memory.gradient_checkpointing) == ("bf16", True)


@pytest.mark.parametrize("name", [name for name in TRAINING if name.startswith("tiny/stage")])
def test_tiny_configs_ask_for_no_gpu(name: str) -> None:
    config = load_config(TRAINING[name], CONFIGS / name, GIVEN)
    assert config.memory.attention != "xformers" and not config.memory.compile
    assert config.memory.precision == "auto"  # CPUs have no kernels for fp16, and not all instructions for bf16
    assert config.optim.name != "adamw8bit"
    assert config.clips == type(config.clips)()  # as the folder says, whatever its size is


def launch_arguments(path: Path) -> argparse.Namespace:
    """What `accelerate launch` makes of a config; a key that it would silently ignore is an error."""
    arguments = ["--config_file", str(path), "--main_process_port", "0", "--main_process_ip", "host0", "script.py"]
    options = launch_command_parser().parse_args(arguments)
    config = load_config_from_file(str(path))  # knows its own keys, not those of the sections
    for section in (config.fsdp_config, config.deepspeed_config, config.dynamo_config):
        assert section.keys() <= vars(options).keys(), section.keys() - vars(options).keys()
    options, *_ = _validate_launch_command(options)
    return options


def environment(options: argparse.Namespace) -> dict[str, str]:
    """What the processes are started with."""
    if options.use_deepspeed:
        options.deepspeed_fields_from_accelerate_config = ""
        return prepare_deepspeed_cmd_env(options)[1]
    if options.multi_gpu or options.use_fsdp:
        return prepare_multi_gpu_env(options)
    return prepare_simple_launcher_cmd_env(options)[1]


@pytest.mark.parametrize("name", PROCESSES)
def test_accelerate_starts_so_many_processes(name: str) -> None:
    options = launch_arguments(CONFIGS / "accelerate" / name)
    environment(options)  # fills in what torchrun is told
    here, machines = PROCESSES[name]
    assert (options.num_processes, options.num_machines) == (here * machines, machines)
    if here > 1:
        assert options.nproc_per_node == str(here)
    if machines > 1:
        assert (options.nnodes, options.rdzv_endpoint.partition(":")[0]) == (str(machines), "host0")


@pytest.mark.parametrize(
    "text",
    [
        "distributed_type: MULTI_GPU\nnum_processes: 8\nnum_proceses: 8\n",
        "distributed_type: FSDP\nnum_processes: 8\nfsdp_config:\n  fsdp_verson: 2\n",
        "distributed_type: DEEPSPEED\nnum_processes: 8\ndeepspeed_config:\n  zero_stagee: 2\n",
    ],
)
def test_a_key_that_accelerate_does_not_know_would_be_noticed(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises((ValueError, AssertionError), match=r"num_proceses|fsdp_verson|zero_stagee"):
        launch_arguments(tmp_path / "config.yaml")


def test_fsdp2_shares_out_the_blocks_that_the_unet_names() -> None:
    variables = environment(launch_arguments(CONFIGS / "accelerate" / "fsdp2.yaml"))
    assert variables["ACCELERATE_USE_FSDP"] == "true"
    with patch_environment(**{name: text for name, text in variables.items() if name.startswith("FSDP_")}):
        plugin = FullyShardedDataParallelPlugin()
        # With it, every from_pretrained of a process that is not the first would leave its model empty.
        assert os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] == "false"
    assert (plugin.fsdp_version, plugin.reshard_after_forward) == (2, True)
    assert plugin.state_dict_type.name == "SHARDED_STATE_DICT"
    with torch.device("meta"):
        networks = nn.ModuleDict({"unet": MuseDanceUNet.from_config(load_sections("tiny")["unet"])})
    plugin.set_auto_wrap_policy(networks)  # raises where a class is not there
    wrapped = {cls.__name__ for cls in plugin.auto_wrap_policy.keywords["transformer_layer_cls"]}
    assert wrapped == set(MuseDanceUNet._no_split_modules)


def test_deepspeed_is_told_the_stage_and_nothing_that_the_training_config_says() -> None:
    variables = environment(launch_arguments(CONFIGS / "accelerate" / "deepspeed_zero2.yaml"))
    assert variables["ACCELERATE_USE_DEEPSPEED"] == "true"
    assert variables["ACCELERATE_DEEPSPEED_ZERO_STAGE"] == "2"
    # accelerate prefers these to what a script asks for
    assert not {"ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "ACCELERATE_GRADIENT_CLIPPING"} & variables.keys()


SRUN = """#!/bin/bash
# Two tasks of 32, as Slurm starts them, each with the variables that srun adds.
while [[ $1 == --* ]]; do echo "$1" >> "$LOG/srun"; shift; done
for task in 0 11; do
    SLURM_PROCID=$task SLURM_LOCALID=$((task % 8)) SLURM_NTASKS=32 "$@" || exit $?
done
"""
SCONTROL = """#!/bin/bash
if [[ $1 == show ]]; then printf 'node%s\\n' 3 4 5 6; else echo "$@" >> "$LOG/scontrol"; fi
"""
PYTHON = """#!/bin/bash
variables="[\\"$RANK\\", \\"$LOCAL_RANK\\", \\"$WORLD_SIZE\\", \\"$MASTER_ADDR\\", \\"$MASTER_PORT\\"]"
printf '%s %s\\n' "$PPID" "$variables" >> "$LOG/python"
printf '%s\\n' "$@" > "$LOG/arguments-$RANK"
[[ $ENDING == finished ]] && mkdir -p "$LOG/../run 1/model" && touch "$LOG/../run 1/model/model_index.json"
[[ $ENDING != failed ]]
"""


def run_job(folder: Path, ending: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The whole script, with Slurm's commands and python in the roles that they have for it."""
    (folder / "log").mkdir()
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL), ("python", PYTHON)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    variables = {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "LOG": str(folder / "log"),
        "ENDING": ending,
        "PYTHON": str(folder / "python"),
        "SLURM_JOB_ID": "123456",
        "SLURM_JOB_NODELIST": "node[3-6]",
        "SLURM_CPUS_PER_TASK": "8",
    }
    bash = shutil.which("bash")
    assert bash
    command = [bash, str(CONFIGS / "slurm" / "train.sbatch"), *arguments]
    return subprocess.run(command, env=variables, text=True, capture_output=True)


def test_slurm_starts_one_python_a_gpu_with_its_place_in_the_run(tmp_path: Path) -> None:
    run = str(tmp_path / "run 1")  # a name with a space
    ran = run_job(tmp_path, "finished", "train_stage2.py", run, "--config", "my.yaml", "drop={text: 0.1}")
    assert (ran.returncode, ran.stderr) == (0, "")
    tasks = [line.split(" ", 1) for line in (tmp_path / "log" / "python").read_text().splitlines()]
    places = [json.loads(text) for _, text in tasks]
    assert [place[:4] for place in places] == [["0", "0", "32", "node3"], ["11", "3", "32", "node3"]]
    ports = {int(place[4]) for place in places}
    assert len(ports) == 1
    assert ports <= set(range(10_000, 30_000))
    assert (
        len({parent for parent, _ in tasks}) == 1
    )  # started by srun itself: no shell in between that a signal may end
    arguments = (tmp_path / "log" / "arguments-11").read_text().splitlines()
    assert arguments[:3] == ["train_stage2.py", "--resume", "latest"]
    assert arguments[3:] == ["--config", "my.yaml", "drop={text: 0.1}", f"output={run}"]
    assert "--cpus-per-task=8" in (tmp_path / "log" / "srun").read_text()  # which srun does not take over by itself
    assert not (tmp_path / "log" / "scontrol").exists()  # the run is over


def test_slurm_queues_a_run_that_was_stopped_again(tmp_path: Path) -> None:
    ran = run_job(tmp_path, "stopped", "train_stage2.py", str(tmp_path / "run 1"))
    assert (ran.returncode, ran.stderr) == (0, "")
    assert (tmp_path / "log" / "scontrol").read_text() == "requeue 123456\n"


def test_slurm_does_not_queue_a_run_that_failed(tmp_path: Path) -> None:
    assert run_job(tmp_path, "failed", "train_stage2.py", str(tmp_path / "run 1")).returncode != 0
    assert not (tmp_path / "log" / "scontrol").exists()


def test_slurm_script_says_how_it_is_used(tmp_path: Path) -> None:
    ran = run_job(tmp_path, "finished", "train_stage2.py")
    assert ran.returncode == 2
    assert ran.stderr.startswith("usage: sbatch configs/slurm/train.sbatch")
    assert not (tmp_path / "log" / "python").exists()


def test_slurm_is_asked_for_what_lets_a_run_go_on() -> None:
    script = CONFIGS / "slurm" / "train.sbatch"
    asked = [line.removeprefix("#SBATCH ") for line in script.read_text().splitlines() if line.startswith("#SBATCH ")]
    wanted = {"--nodes=4", "--ntasks-per-node=8", "--requeue", "--signal=TERM@300", "--open-mode=append"}
    assert wanted <= set(asked)
    subprocess.run(["bash", "-n", str(script)], check=True)
