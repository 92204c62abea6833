"""The networks that metrics need, as far as their weights are there, and why the others are not."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from musedance.evaluation.processes import Processes
from musedance.metrics.clip_embeddings import ClipImages
from musedance.metrics.i3d import I3D
from musedance.metrics.image_quality import Mode
from musedance.metrics.lpips import Lpips, Network
from musedance.metrics.pose import PoseModel
from musedance.metrics.wav2clip import WIDTH, Wav2Clip
from musedance.metrics.weight_files import WEIGHT_FILES, find_weights, how_to_get, sha256_of

NETWORKS: Mapping[Mode, Network] = {"standard": "alex", "disco": "vgg"}
NEEDS_CLIP = "not computed: weights missing; give --clip, a folder or hub id of CLIP (openai/clip-vit-base-patch32)"


@dataclass(frozen=True)
class ToolOptions:
    """Where weights come from.

    Attributes:
        weights: folder with the published files; the usual one if not given.
        download: fetch those that are missing and have a published checksum.
        clip: CLIP, a folder or hub id.
        pose: a pose model (ViTPose), a folder or hub id.
    """

    weights: str | None = None
    download: bool = False
    clip: str | None = None
    pose: str | None = None


@dataclass
class Tools:
    """What is there.

    Attributes:
        device: where they compute.
        lpips: by mode.
        i3d: for FVD.
        clip: for CS and CLIP similarity.
        wav2clip: for CS.
        pose: for kinematic beats.
        missing: why a measure cannot be computed, by measure.
        files: where each file or model came from and its SHA-256, for the report.
    """

    device: torch.device
    lpips: dict[Mode, Lpips] = field(default_factory=dict)
    i3d: I3D | None = None
    clip: ClipImages | None = None
    wav2clip: Wav2Clip | None = None
    pose: PoseModel | None = None
    missing: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


def load_tools(options: ToolOptions, device: torch.device) -> Tools:
    """Load what there is.

    Raises:
        InputError: a file that is there cannot be used.
    """
    tools, folder = Tools(device), None if options.weights is None else Path(options.weights)
    if options.download:
        _download(folder, Processes())

    def find(name: str, *measures: str) -> Path | None:
        path = find_weights(name, folder)
        if path is None:
            tools.missing |= dict.fromkeys(measures, f"not computed: weights missing; {how_to_get(name)}")
        else:
            tools.files[name] = f"{path.name}, sha256 {sha256_of(path)}"
        return path

    for mode, network in NETWORKS.items():
        if path := find(f"lpips_{network}", f"lpips_{mode}"):
            tools.lpips[mode] = Lpips.from_files(network, path).to(device)
    if path := find("i3d", "fvd_standard", "fvd_disco"):
        tools.i3d = I3D.from_file(path).to(device)
    if path := find("wav2clip", "cs"):
        tools.wav2clip = Wav2Clip.from_file(path, str(device))
    if options.clip is not None:
        tools.clip = ClipImages.from_pretrained(options.clip, str(device))
        if (width := tools.clip.model.config.projection_dim) != WIDTH:
            reason = f"not computed: Wav2CLIP goes with ViT-B/32, {WIDTH} wide, and this CLIP is {width} wide"
            tools.missing["cs"] = tools.missing.get("cs", reason)
        tools.files["clip"] = f"{options.clip}, sha256 of its tensors {_digest(tools.clip.model)}"
    else:
        tools.missing["clip_identity"] = NEEDS_CLIP
        tools.missing["cs"] = tools.missing.get("cs", NEEDS_CLIP)
    if options.pose is not None:
        tools.pose = PoseModel.from_pretrained(options.pose, str(device))
        tools.files["pose"] = f"{options.pose}, sha256 of its tensors {_digest(tools.pose.model)}"
    return tools


def _download(folder: Path | None, processes: Processes) -> None:
    """One process fetches what is missing, the others wait for it."""
    if processes.is_main:
        for name in WEIGHT_FILES:
            find_weights(name, folder, download=True)
    processes.wait()


def _digest(model: torch.nn.Module) -> str:
    """Of all names and values: a folder may be written anew, and a hub id stands for what it is today."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode() + b"\0" + tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
