"""`musedance tiny` as a user meets it."""

import subprocess
import sys
from pathlib import Path

import pytest

from musedance.cli import main


@pytest.mark.parametrize("command", [(), ("base",), ("renew",), ("mean",), ("prove",)])
def test_help(capsys: pytest.CaptureFixture[str], command: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["tiny", *command, "--help"])
    assert ended.value.code == 0
    assert " ".join(["usage: musedance tiny", *command]) in capsys.readouterr().out


def test_help_loads_nothing_heavy() -> None:
    heavy = "torch", "diffusers", "transformers", "numpy", "librosa", "av", "PIL", "scipy", "omegaconf"
    code = f"""
import sys
from musedance.cli import main
for step in ("base", "renew", "mean", "prove"):
    try:
        main(["tiny", step, "--help"])
    except SystemExit as end:
        assert end.code == 0
print("LOADED", sorted(set({heavy!r}) & set(sys.modules)))
"""
    ran = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True)
    assert ran.stdout.splitlines()[-1] == "LOADED []"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "STEP"),
        (["base"], "OUTPUT, --data"),
        (["prove"], "--learned, --test, --output"),
        (["base", "new", "--data", "nowhere"], "nowhere"),
        (["base", "new", "--data", "nowhere", "--config", "missing.yaml"], "missing.yaml"),
        (["base", "new", "--data", "nowhere", "--device", "abacus"], "abacus"),
        (["base", "there", "--data", "nowhere"], "exists already"),
        (["renew", "new"], "--model"),
        (["renew", "new", "--model", "nowhere"], "nowhere"),
        (["renew", "there", "--model", "nowhere"], "exists already"),
        (["mean", "new", "nowhere"], "FOLDER"),
        (["mean", "new", "nowhere", "nowhere"], "nowhere"),
        (["mean", "there", "nowhere", "nowhere"], "exists already"),
        (["prove", "--learned", "nowhere", "--test", "nowhere", "--output", "new"], "nowhere"),
        (["prove", "--learned", "a", "--test", "b", "--output", "new", "--steps", "0"], "steps"),
    ],
)
def test_mistakes_get_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    options: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine").touch()
    assert main(["tiny", *options]) == 2
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1 and words in lines[0], lines
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
