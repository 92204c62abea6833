"""Published weights that metrics rest on: where they come from, and whether a file is the one."""

import hashlib
import os
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.request import Request, urlopen

from tqdm import tqdm

from musedance.errors import InputError
from musedance.files import appearing

FOLDER_VARIABLE = "MUSEDANCE_WEIGHTS"
_DEFAULT_FOLDER = "~/.cache/musedance/weights"
_PATIENCE = 30  # seconds without a byte
_CHUNK = 2**20  # bytes


@dataclass(frozen=True)
class WeightFile:
    """A file of weights, as its makers publish it.

    Attributes:
        name: what it is.
        file_name: what it is called in the folder of weights.
        url: where it is downloaded from (https); `None` where no digest is published, since it could not be checked.
        sha256: the digest, 64 hex digits; `None` where none is published.
        source: who publishes it, and where a person finds it.
        licence: of the weights.
    """

    name: str
    file_name: str
    url: str | None
    sha256: str | None
    source: str
    licence: str


# The first digits of torchvision's digests are in its file names. I3D is a copy of VideoGPT's file, pinned to a commit,
# and the digest that of its Git LFS entry.
WEIGHT_FILES: dict[str, WeightFile] = {
    "lpips_alex": WeightFile(
        name="AlexNet for LPIPS",
        file_name="alexnet-owt-7be5be79.pth",
        url="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        sha256="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        source="torchvision, https://github.com/pytorch/vision",
        licence="BSD-3-Clause",
    ),
    "lpips_vgg": WeightFile(
        name="VGG-16 for LPIPS",
        file_name="vgg16-397923af.pth",
        url="https://download.pytorch.org/models/vgg16-397923af.pth",
        sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        source="torchvision, https://github.com/pytorch/vision",
        licence="BSD-3-Clause",
    ),
    "i3d": WeightFile(
        name="I3D for FVD",
        file_name="i3d_pretrained_400.pt",
        url="https://huggingface.co/spaces/LanguageBind/Open-Sora-Plan-v1.0.0/resolve/"
        "810fa8c4bdb3a4c8eec9bd57375c29bde6fb46de/opensora/eval/fvd/videogpt/i3d_pretrained_400.pt",
        sha256="55095f049e706479d48e221adcdb145b2b9dc930ba28b081ed72367ffaa32343",
        source="VideoGPT, https://github.com/wilson1yan/VideoGPT (Google Drive 1mQK8KD8G6UWRa5t87SRMm5PVXtlpneJT)",
        licence="Apache-2.0 (DeepMind's weights, converted)",
    ),
    "wav2clip": WeightFile(
        name="Wav2CLIP for CS",
        file_name="Wav2CLIP.pt",
        url=None,
        sha256=None,
        source="https://github.com/descriptinc/lyrebird-wav2clip/releases/download/v0.1.0-alpha/Wav2CLIP.pt",
        licence="MIT",
    ),
}


def weights_folder(folder: Path | None = None) -> Path:
    """Where weights are looked for: the folder given, else MUSEDANCE_WEIGHTS, else `~/.cache/musedance/weights`."""
    if folder is None:
        folder = Path(os.environ.get(FOLDER_VARIABLE) or _DEFAULT_FOLDER)
    return folder.expanduser()


def find_weights(name: str, folder: Path | None = None, download: bool = False) -> Path | None:
    """The file of weights, if it is there or may be downloaded.

    Args:
        name: a key of `WEIGHT_FILES`.
        folder: where it is looked for and put; see `weights_folder`.
        download: get it if it is missing. Of several processes only one should ask for that.

    Returns:
        The file, whose digest is right if one is published; `None` if there is none and none to download.

    Raises:
        InputError: the file is damaged or another one, or could not be downloaded.
    """
    known = WEIGHT_FILES[name]
    path = weights_folder(folder) / known.file_name
    if path.is_file():
        if problem := _wrong_digest(path, known):
            raise InputError(f"{path} is damaged or not {known.name}: {problem}; remove it")
    elif download and known.url is not None:
        _download(known, known.url, path)
    else:
        return None
    return path


def how_to_get(name: str) -> str:
    """One sentence on how a person gets the weights, for reports that had to do without."""
    known = WEIGHT_FILES[name]
    by_itself = ", or let --download fetch it" if known.url else ""
    return (
        f"{known.name}: put {known.file_name} ({known.licence}) from {known.url or known.source} into the folder of "
        f"weights (--weights, {FOLDER_VARIABLE} or else {_DEFAULT_FOLDER}){by_itself}."
    )


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _wrong_digest(path: Path, known: WeightFile) -> str | None:
    if known.sha256 is None or (found := sha256_of(path)) == known.sha256:
        return None
    return f"its SHA-256 is {found} instead of {known.sha256}"


def _download(known: WeightFile, url: str, path: Path) -> None:
    """To a temporary file, which takes its name once its digest is right."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with appearing(path) as temporary:
        try:
            _fetch(url, temporary, path.name)
        except (OSError, HTTPException) as error:
            raise InputError(
                f"cannot download {url} ({error or type(error).__name__}); put it at {path} by hand"
            ) from error
        if problem := _wrong_digest(temporary, known):
            raise InputError(
                f"what came from {url} is damaged or not {known.name}: {problem}; put it at {path} by hand"
            )


def _fetch(url: str, path: Path, title: str) -> None:
    with (
        urlopen(Request(url, headers={"User-Agent": "musedance"}), timeout=_PATIENCE) as answer,
        path.open("wb") as file,
    ):
        length = answer.headers.get("Content-Length")
        with tqdm(total=int(length) if length else None, unit="B", unit_scale=True, desc=title, disable=None) as bar:
            while chunk := answer.read(_CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
