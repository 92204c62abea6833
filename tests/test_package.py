"""The package as it is installed: its parts, its names, its files, its licence."""

import configparser
import hashlib
import re
import subprocess
import sys
from importlib.metadata import entry_points, version
from importlib.resources import files
from pathlib import Path

import pytest

import musedance

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def setup() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def test_every_package_is_listed(setup: configparser.ConfigParser) -> None:
    folders = {path.parent.relative_to(ROOT) for path in (ROOT / "musedance").rglob("__init__.py")}
    expected = {".".join(folder.parts) for folder in folders} | {"musedance.configs"}
    assert set(setup["options"]["packages"].split()) == expected


def test_every_yaml_of_configs_is_package_data(setup: configparser.ConfigParser) -> None:
    patterns = setup["options.package_data"]["musedance.configs"].split()
    found = set((ROOT / "configs").rglob("*.yaml"))
    assert found
    assert found == {path for pattern in patterns for path in (ROOT / "configs").glob(pattern)}


def test_importable_from_anywhere(tmp_path: Path) -> None:
    """Another current folder, without the repository on the path."""
    code = """
from importlib.resources import files
import musedance
print(musedance.__version__, (files("musedance.configs") / "tiny" / "model.yaml").is_file())
"""
    ran = subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, text=True, capture_output=True)
    assert ran.stdout.split() == [musedance.__version__, "True"], ran.stderr


def test_import_is_light() -> None:
    code = "import sys, musedance; dir(musedance); print(sorted({'torch', 'numpy', 'diffusers'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_public_names() -> None:
    for name in musedance.__all__:
        assert getattr(musedance, name) is not None
        assert name in dir(musedance)
    assert musedance.MuseDancePipeline.__name__ == "MuseDancePipeline"
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = musedance.Nonsense


def test_versions_agree() -> None:
    assert version("musedance") == musedance.__version__


def test_the_command_is_main() -> None:
    (command,) = entry_points(group="console_scripts", name="musedance")
    assert command.load() is __import__("musedance.cli", fromlist=["main"]).main


@pytest.mark.parametrize("arguments", [["-m", "musedance", "infer"], [str(ROOT / "infer.py")]])
def test_other_ways_to_call_it(arguments: list[str], tmp_path: Path) -> None:
    ran = subprocess.run([sys.executable, *arguments, "--image", "x"], cwd=tmp_path, text=True, capture_output=True)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == "musedance: error: music and prompt not given\n"


def test_constraints_pin_what_setup_asks_for(setup: configparser.ConfigParser) -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = {re.split("==", line)[0].lower().replace("_", "-") for line in lines if "==" in line}
    extras = [setup["options.extras_require"][name] for name in ("test", "data", "decord", "train")]
    wanted = " ".join([setup["options"]["install_requires"], *extras]).split()
    assert {re.split(r"[<>=[]", name)[0].lower().replace("_", "-") for name in wanted} - {"musedance"} <= pins
    assert all("+" not in line for line in lines), "a local version such as +cpu cannot be installed everywhere"
    assert not {"torchvision", "torchaudio"} & pins  # beside a CPU build of torch they break diffusers


def test_licence_is_apache_2_unmodified() -> None:
    digest = hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest()
    assert digest == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"  # apache.org's LICENSE-2.0.txt


def test_configs_are_readable_as_resources() -> None:
    assert "num_frames" in (files("musedance.configs") / "tiny" / "model.yaml").read_text()
