"""FSDP2: the script on two ranks that share the weights, over gloo.

accelerate has no FSDP on a CPU; the launcher below tells it that gloo's ranks are GPUs and leaves all the rest to it.
NCCL and real GPUs are not tried here.
"""

import json
import os
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

LAUNCHER = """
import runpy, sys
import accelerate, accelerate.state as state, torch
from accelerate.utils import DistributedType
state.PartialState._prepare_backend = lambda self, *_, **__: ("gloo", DistributedType.MULTI_GPU)
state.PartialState.set_device = lambda self: setattr(self, "device", torch.device("cpu"))
state.check_cuda_p2p_ib_support = lambda: True
import musedance.training.accelerator as ours
real = accelerate.Accelerator
ours.Accelerator = lambda cpu, **kwargs: real(cpu=False, **kwargs)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
FSDP = {  # what `accelerate launch --config_file configs/accelerate/fsdp2.yaml` puts into the environment
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_TRANSFORMER_CLS_TO_WRAP": "BasicTransformerBlock,ResnetBlock2D,ConditionModule,MotionModule",
    "FSDP_RESHARD_AFTER_FORWARD": "true",
    "FSDP_STATE_DICT_TYPE": "SHARDED_STATE_DICT",
    "FSDP_CPU_RAM_EFFICIENT_LOADING": "false",
}
TWO = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--rdzv-backend", "c10d"]
TWO += ["--rdzv-endpoint", "localhost:0"]


def losses(run: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.skipif(sys.platform != "linux", reason="gloo between processes of one machine")
def test_a_sharded_run_equals_one_with_copies(small_model, puppet_data, run_training, tmp_path):
    """Loss by loss and weight by weight; also when it was broken off, with a validation and the moving average."""
    launcher = tmp_path / "launcher.py"
    launcher.write_text(LAUNCHER)
    given = [f"model={small_model}", f"data.root={puppet_data}", "ema_decay=0.9"]
    given += ["memory.gradient_checkpointing=true", "validation.samples=1", "validation.steps=1", "steps=3"]
    given += ["optim.eps=1", "optim.lr=0.1"]  # with Adam's small one a step is the sign of a gradient, of whatever size
    copies, shards = tmp_path / "copies", tmp_path / "shards"
    ran = run_training(1, f"output={copies}", *given, "validation.every=0", launcher=TWO)
    assert ran.returncode == 0, ran.stderr

    sharded = {"launcher": [*TWO, str(launcher)], "env": {**os.environ, **FSDP}}
    ran = run_training(1, f"output={shards}", *given, "validation.every=1", "steps=2", **sharded)
    assert ran.returncode == 0, ran.stderr
    assert (shards / "checkpoints" / "step-00000002" / "average-1.safetensors").is_file()
    ran = run_training(1, f"output={shards}", *given, "validation.every=0", "--resume", "latest", **sharded)
    assert ran.returncode == 0, ran.stderr

    assert losses(shards) == pytest.approx(losses(copies), rel=1e-4)
    for component in ("unet", "reference_net", "mask_encoder"):
        found, expected, before = (
            load_file(folder / component / "diffusion_pytorch_model.safetensors")
            for folder in (shards / "model", copies / "model", small_model)
        )
        assert found.keys() == expected.keys() == before.keys()
        for name in found:
            largest = (expected[name] - before[name]).abs().max()
            assert (found[name] - expected[name]).abs().max() <= 0.02 * largest + 1e-6, name
