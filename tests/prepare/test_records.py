"""The work folder: what is known of a video survives, and nobody else's folder is touched."""

import json
import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from musedance.datasets.clip import Clip, Span
from musedance.errors import InputError
from musedance.prepare.records import Record, WorkFolder

SETTINGS = {"fps": "12.0", "crop": "DancerCrop(size=640)"}


def clip(name: str = "a-0000") -> Clip:
    span = Span(0.0, 1.0, "steps")
    return Clip(f"clips/{name}.mp4", name, "train", "a", "a", 1.5, 1.5, (0.5, 1.0), 12, 12.0, 64, 64, "steps", (span,))


def test_a_record_comes_back_once_its_clips_are_there(tmp_path: Path) -> None:
    work = WorkFolder(tmp_path / "out")
    landmarks = np.arange(6).reshape(3, 2)
    drop = {"start": 0.0, "end": 4.0, "reason": "several dancers", "detail": ""}
    record = Record("a", "dir/ä.mp4", "0123456789abcdef", shots=2, drops=[drop], clips=[clip()])
    with work.locked(SETTINGS):
        work.save(record, landmarks)
        assert work.load(record.digest) is None and work.load_all() == []
        (work.path / "clips" / "a-0000.mp4").write_bytes(b"video")
        assert work.load(record.digest) == record
        assert work.load_all() == [record]
        np.testing.assert_array_equal(work.landmarks(record.digest), landmarks)
    assert work.load("ffff456789abcdef") is None


def test_a_clip_is_found_in_its_split_too(tmp_path: Path) -> None:
    work = WorkFolder(tmp_path / "out")
    assert work.find("clips/a.mp4") is None
    place = tmp_path / "out" / "test" / "clips" / "a.mp4"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"video")
    assert work.find("clips/a.mp4") == place


def test_other_options_are_refused_by_name(tmp_path: Path) -> None:
    work = WorkFolder(tmp_path / "out")
    with work.locked({**SETTINGS, "crop": "a mistake, so that nothing came of it"}):
        pass
    for _ in range(2):
        with work.locked(SETTINGS):
            work.save(Record("a", "a.mp4", "0123456789abcdef", status="skipped"), None)
    with pytest.raises(InputError, match=r"crop was DancerCrop\(size=640\) and is now DancerCrop\(size=512\)"):
        work.locked({**SETTINGS, "crop": "DancerCrop(size=512)"}).__enter__()


@pytest.mark.parametrize("there", ["file", "folder"])
def test_what_is_somebody_elses_stays_untouched(tmp_path: Path, there: str) -> None:
    output = tmp_path / "out"
    kept = output if there == "file" else output / "thesis.doc"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("mine")
    with pytest.raises(InputError, match="out is"), WorkFolder(output).locked(SETTINGS):
        pass
    assert kept.read_text() == "mine" and list(tmp_path.rglob("*"))[-1] == kept


def _hold(output: Path, held: object, done: object) -> None:
    with WorkFolder(output).locked(SETTINGS):
        held.set()  # type: ignore[attr-defined]
        done.wait(60)  # type: ignore[attr-defined]


def test_one_run_at_a_time(tmp_path: Path) -> None:
    """And the lock of a run that was killed is no lock."""
    context = multiprocessing.get_context("fork")
    held, done = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path / "out", held, done))
    other.start()
    try:
        assert held.wait(60)
        with pytest.raises(InputError, match="another run"), WorkFolder(tmp_path / "out").locked(SETTINGS):
            pass
    finally:
        other.kill()
        other.join()
    with WorkFolder(tmp_path / "out").locked(SETTINGS):
        assert json.loads((tmp_path / "out" / ".prepare" / "settings.json").read_text()) == SETTINGS
