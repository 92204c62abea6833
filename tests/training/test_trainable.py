"""Each parameter belongs to one stage, has a gradient there in any batch, and stays untouched in the other."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from musedance.datasets.collator import DropRates
from musedance.datasets.encode import Encoders, encode_batch
from musedance.datasets.loader import make_loader
from musedance.errors import InputError
from musedance.models import MaskEncoder, MuseDanceNetworks, MuseDanceUNet, ReferenceNet
from musedance.training.config import ObjectiveConfig
from musedance.training.frozen import cast_frozen
from musedance.training.objective import Objective
from musedance.training.scheduler import training_scheduler
from musedance.training.trainable import select_stage1, select_stage2, train_mode, trained_parameters

CPU = torch.device("cpu")
UNFROZEN = partial(select_stage2, freeze_spatial=False)
# The paper's ablation, AnimateDiff v3 without a module in the middle, a level without spatial attention.
ABLATIONS: list[dict[str, Any]] = [
    {},
    {"use_motion_mid_block": False},
    {"use_music_modules": False},
    {"use_beat_modules": False},
    {"use_motion_modules": False},
    {"use_music_modules": False, "use_beat_modules": False},
    {"use_music_modules": False, "use_motion_modules": False},
    {"use_beat_modules": False, "use_motion_modules": False},
    {
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    },
]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """On latents this small, threads wait for each other longer than they compute."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def make_networks(small_model: Path) -> Callable[..., MuseDanceNetworks]:
    """Random weights in the small model's shapes, none of them zero, so that every path shows."""

    def make(**changes: Any) -> MuseDanceNetworks:
        config = MuseDanceUNet.load_config(small_model / "unet")
        shared = {key: value for key, value in changes.items() if key.endswith("_types")}
        torch.manual_seed(0)
        networks = MuseDanceNetworks(
            MuseDanceUNet.from_config(config, **changes),
            ReferenceNet.from_config(ReferenceNet.load_config(small_model / "reference_net"), **shared),
            MaskEncoder.from_config(MaskEncoder.load_config(small_model / "mask_encoder")),
        )
        with torch.no_grad():
            for parameter in networks.parameters():
                if not parameter.any():
                    parameter.normal_(std=0.1)
        return networks

    return make


@pytest.fixture(scope="module")
def make_batch(puppet_data: Path, small_model: Path) -> Callable[..., dict[str, Any]]:
    """Two samples as `encode_batch` gives them, with the seeds beside them."""
    encoders = Encoders.from_folder(small_model, 12, CPU, torch.float32)

    def make(stage: int, rates: DropRates | None = None) -> dict[str, Any]:
        batch = next(iter(make_loader(puppet_data, small_model, stage=stage, batch_size=2, rates=rates)))
        return encode_batch(batch, CPU, encoders) | {"noise_seeds": batch["noise_seeds"]}

    return make


@pytest.fixture(scope="module")
def objective(small_model: Path) -> Objective:
    config = ObjectiveConfig()
    return Objective(training_scheduler(small_model, config), config)


def loss_of(objective: Objective, networks: nn.Module, batch: dict[str, Any]) -> Tensor:
    inputs = dict(batch)
    seeds = inputs.pop("noise_seeds")
    return objective(networks, inputs.pop("latents"), inputs, seeds).weighted


@pytest.mark.parametrize("changes", ABLATIONS)
def test_every_parameter_belongs_to_exactly_one_stage(
    changes: dict[str, Any], make_networks: Callable[..., MuseDanceNetworks]
) -> None:
    """Stage 1's part of the UNet is Stable Diffusion's UNet, stage 2's is all that was added to it."""
    networks = make_networks(**changes)
    select_stage1(networks)
    first = set(trained_parameters(networks))
    select_stage2(networks)
    second = set(trained_parameters(networks))
    assert not first & second and first | second == {name for name, _ in networks.named_parameters()}
    plain = UNet2DConditionModel.from_config(dict(networks.unet.config))
    spatial = {f"unet.{name}" for name, _ in plain.named_parameters()}
    assert {name for name in first if name.startswith("unet.")} == spatial
    kinds = {name.split(".")[0] for name in first - spatial}
    assert kinds == {"reference_net", "mask_encoder"}
    select_stage1(networks)
    assert set(trained_parameters(networks)) == first  # in any order


def test_unfrozen_stage_2_trains_all_but_the_mask_encoder(make_networks: Callable[..., MuseDanceNetworks]) -> None:
    networks = make_networks()
    UNFROZEN(networks)
    others = {name for name, _ in networks.named_parameters() if not name.startswith("mask_encoder.")}
    assert trained_parameters(networks).keys() == others
    select_stage2(networks)
    assert trained_parameters(networks).keys() < others


def test_a_model_without_temporal_modules_has_no_stage_2(make_networks: Callable[..., MuseDanceNetworks]) -> None:
    bare = make_networks(use_music_modules=False, use_beat_modules=False, use_motion_modules=False)
    select_stage1(bare)
    assert len(trained_parameters(bare)) == len(list(bare.parameters()))
    with pytest.raises(InputError, match="nothing that stage 2 could train"):
        select_stage2(bare)


# What one batch can lack altogether; a parameter without a gradient stops distributed training.
ALL, NOTHING = DropRates(1, 0, 0, 0, 0, 0, densepose=1), DropRates(0, 0, 0, 0, 0, 0, densepose=0)


@pytest.mark.parametrize(
    ("stage", "select", "changes", "motion", "rates"),
    [
        *((1, select_stage1, {}, None, rates) for rates in (ALL, NOTHING)),
        *((2, select_stage2, {}, motion, rates) for motion in (True, False) for rates in (ALL, NOTHING)),
        *((2, select_stage2, changes, False, ALL) for changes in ABLATIONS[1:]),
        *((2, UNFROZEN, {}, motion, rates) for motion in (True, False) for rates in (ALL, NOTHING)),
    ],
)
def test_every_trained_parameter_has_a_gradient_in_any_batch_and_no_other(
    stage: int,
    select: Callable[[MuseDanceNetworks], None],
    changes: dict[str, Any],
    motion: bool | None,
    rates: DropRates,
    make_networks: Callable[..., MuseDanceNetworks],
    make_batch: Callable[..., dict[str, Any]],
    objective: Objective,
) -> None:
    networks, batch = make_networks(**changes), make_batch(stage, rates)
    if motion is not None:
        batch["motion_mask"] = torch.full((2,), motion)
        batch["motion_latents"] = batch["motion_latents"] if motion else torch.zeros_like(batch["motion_latents"])
    select(networks)
    loss_of(objective, networks, batch).backward()
    found = {name for name, parameter in networks.named_parameters() if parameter.grad is not None}
    assert found == trained_parameters(networks).keys()
    assert all(torch.isfinite(parameter.grad).all() for parameter in trained_parameters(networks).values())


@pytest.mark.parametrize("checkpointing", [False, True])
def test_an_optimiser_step_moves_what_the_stage_trains_and_nothing_else(
    checkpointing: bool,
    make_networks: Callable[..., MuseDanceNetworks],
    make_batch: Callable[..., dict[str, Any]],
    objective: Objective,
) -> None:
    for stage, select in ((1, select_stage1), (2, select_stage2), (2, UNFROZEN)):
        networks = make_networks()
        if checkpointing:
            networks.unet.enable_gradient_checkpointing()
            networks.reference_net.enable_gradient_checkpointing()
        before = {name: parameter.detach().clone() for name, parameter in networks.named_parameters()}
        select(networks)
        optimizer = torch.optim.AdamW(trained_parameters(networks).values(), lr=1e-3, weight_decay=0.0)
        loss_of(objective, networks, make_batch(stage, NOTHING)).backward()
        optimizer.step()
        moved = {name for name, parameter in networks.named_parameters() if not torch.equal(parameter, before[name])}
        assert moved <= trained_parameters(networks).keys()
        assert len(moved) > 0.95 * len(trained_parameters(networks))  # a key's bias has no gradient in a softmax


class Saved:
    """What autograd keeps for the backward pass, counted where the passes through some modules begin and end."""

    def __init__(self, networks: MuseDanceNetworks) -> None:
        self.tensors: list[Tensor] = []
        self.marks: dict[str, list[int]] = {}
        self.told: list[Tensor] = []
        unet, reference_net = networks.unet, networks.reference_net
        self.handles = [
            reference_net.register_forward_pre_hook(self.mark("ReferenceNet")),
            reference_net.register_forward_hook(self.mark("ReferenceNet's end")),
            unet.register_forward_pre_hook(self.listen, with_kwargs=True),
            unet.register_forward_pre_hook(self.mark("UNet")),  # motion frames first, then the current ones
            unet.register_forward_hook(self.mark("UNet's end")),
            unet.time_proj.register_forward_pre_hook(self.mark("first layer")),
            unet.down_blocks[0].music_modules[0].register_forward_pre_hook(self.mark("first module")),
            unet.down_blocks[0].music_modules[0].register_forward_hook(self.mark("first module's end")),
        ]

    def mark(self, name: str) -> Callable[..., None]:
        return lambda *_: self.marks.setdefault(name, []).append(len(self.tensors)) and None

    def listen(self, unet: nn.Module, arguments: Any, kwargs: dict[str, Any]) -> None:
        self.told += [*(kwargs.get("reference") or {}).values(), *(kwargs.get("motion") or {}).values()]

    def kept(self, first: str, last: str, run: int = 0) -> int:
        """How many tensors were kept from one mark to the other."""
        return self.marks[last][run] - self.marks[first][run]

    def run(self, loss: Callable[[], Tensor]) -> "Saved":
        def pack(tensor: Tensor) -> Tensor:
            self.tensors.append(tensor)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss()
        for handle in self.handles:
            handle.remove()
        return self

    @property
    def storages(self) -> dict[int, int]:
        """Bytes by address."""
        return {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in self.tensors}


def test_stage_2_keeps_nothing_of_what_needs_no_gradient(
    make_networks: Callable[..., MuseDanceNetworks], make_batch: Callable[..., dict[str, Any]], objective: Objective
) -> None:
    """Not of the ReferenceNet, of the motion frames' pass, of the layers before the first module that is trained."""
    networks, batch = make_networks(), make_batch(2, NOTHING)
    batch["motion_mask"] = torch.ones(2, dtype=torch.bool)

    select_stage2(networks)
    stage_2 = Saved(networks).run(lambda: loss_of(objective, networks, batch))
    assert stage_2.kept("ReferenceNet", "ReferenceNet's end") == stage_2.kept("UNet", "UNet's end") == 0
    assert stage_2.marks["first module"][0] - stage_2.marks["first layer"][1] == 0
    assert stage_2.kept("first module", "first module's end") > 10
    assert len(stage_2.told) > 10 and not any(tensor.requires_grad for tensor in stage_2.told)
    assert not any(tensor.untyped_storage().data_ptr() in stage_2.storages for tensor in stage_2.told)

    networks.requires_grad_(True)  # the same counts where everything is trained: they can be other than 0
    everything = Saved(networks).run(lambda: loss_of(objective, networks, batch))
    assert everything.kept("ReferenceNet", "ReferenceNet's end") > 100
    assert everything.marks["first module"][0] - everything.marks["first layer"][1] > 10
    assert any(tensor.untyped_storage().data_ptr() in everything.storages for tensor in everything.told)
    assert sum(stage_2.storages.values()) < 0.8 * sum(everything.storages.values())


def test_what_is_frozen_has_no_dropout(
    make_networks: Callable[..., MuseDanceNetworks], make_batch: Callable[..., dict[str, Any]], objective: Objective
) -> None:
    networks = make_networks(dropout=0.5)
    resnets = [module.dropout for module in networks.unet.modules() if hasattr(module, "conv1")]
    assert len(resnets) > 5 and {dropout.p for dropout in resnets} == {0.5}
    for stage, select in ((1, select_stage1), (2, select_stage2)):
        select(networks.eval())
        train_mode(networks)
        assert {dropout.training for dropout in resnets} == {stage == 1}
        assert networks.unet.conv_in.training == (stage == 1)
        assert networks.unet.down_blocks[0].motion_modules[0].transformer_blocks[0].ff.net[1].training == (stage == 2)
    batch = make_batch(2, NOTHING)
    with torch.no_grad():
        assert torch.equal(loss_of(objective, networks, batch), loss_of(objective, networks, batch))
        networks.train()
        assert not torch.equal(loss_of(objective, networks, batch), loss_of(objective, networks, batch))


def test_frozen_weights_of_16_bits_train_as_those_of_32(
    make_networks: Callable[..., MuseDanceNetworks], make_batch: Callable[..., dict[str, Any]], objective: Objective
) -> None:
    networks, batch = make_networks(), make_batch(2, NOTHING)
    select_stage2(networks)
    gradients = []
    for dtype in ("float32", "bfloat16"):
        cast_frozen(networks, dtype)
        assert (
            networks.unet.conv_in.weight.dtype == networks.reference_net.conv_in.weight.dtype == getattr(torch, dtype)
        )
        networks.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(objective, networks, batch)
        loss.backward()
        trained = trained_parameters(networks).values()
        assert {parameter.dtype for parameter in trained} == {parameter.grad.dtype for parameter in trained}
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in trained]))
    assert {gradient.dtype for gradient in gradients} == {torch.float32}
    assert torch.cosine_similarity(*gradients, dim=0) > 0.95
