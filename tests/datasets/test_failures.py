"""Clips that cannot be read: skipped, counted and named, and never waited for."""

import os
from itertools import islice
from pathlib import Path

import pytest
import torch

from musedance.datasets.chance import SampleKey
from musedance.datasets.failures import FailureLog, summary
from musedance.datasets.loader import ClipLoader, make_loader
from musedance.datasets.spec import ClipSpec
from musedance.errors import InputError

SPEC = ClipSpec(pixels=64 * 64, multiple=8, fps=12, num_frames=24, num_motion_frames=2)


def damage(folder: Path, name: str, how: str) -> None:
    path = folder / "train" / "clips" / f"{name}.mp4"
    content = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text("this is no video")
    elif how == "truncated":
        path.write_bytes(content[: len(content) // 3])
    elif how == "zeros inside":
        third = len(content) // 3
        path.write_bytes(content[:third] + bytes(third) + content[2 * third :])
    elif how == "a folder":
        path.unlink()
        path.mkdir()


HOWS = ["missing", "empty", "text", "truncated", "zeros inside", "a folder"]


@pytest.mark.parametrize("how", HOWS)
def test_one_bad_clip_is_replaced_and_named(dataset_copy: Path, tiny_folder: Path, how: str) -> None:
    damage(dataset_copy, "clip-01", how)
    loader = make_loader(dataset_copy, tiny_folder, stage=2, batch_size=3, spec=SPEC, max_failure_share=0.2)
    with pytest.warns(UserWarning, match=r"clip clip-01 is skipped: ."):
        batches = list(islice(loader, 4))
    assert [len(batch["frames"]) for batch in batches] == [3, 3, 3, 3]
    assert {clip for batch in batches for clip in batch["ids"]} <= {f"clip-0{i}" for i in (0, 2, 3, 4, 5)}
    assert loader.failures.reasons.keys() == {"clip-01"}
    assert "\n" not in loader.failures.reasons["clip-01"]


@pytest.mark.filterwarnings("ignore:clip clip-0. is skipped")
def test_replacements_are_the_same_for_any_number_of_workers(dataset_copy: Path, tiny_folder: Path) -> None:
    damage(dataset_copy, "clip-00", "truncated")
    damage(dataset_copy, "clip-04", "text")

    def load(num_workers: int) -> ClipLoader:
        options = {"spec": SPEC, "max_failure_share": 0.5, "num_workers": num_workers}
        return make_loader(dataset_copy, tiny_folder, stage=2, batch_size=2, **options)

    one, two = load(0), load(2)
    for a, b in zip(islice(one, 6), islice(two, 6), strict=True):
        assert a["ids"] == b["ids"] and torch.equal(a["frames"], b["frames"]) and torch.equal(a["mel"], b["mel"])
    assert one.failures.reasons == two.failures.reasons
    assert one.failures.reasons.keys() == {"clip-00", "clip-04"}


@pytest.mark.filterwarnings("ignore:clip clip-0. is skipped")
@pytest.mark.parametrize("num_workers", [0, 2])
def test_too_many_bad_clips_end_the_run(dataset_copy: Path, tiny_folder: Path, num_workers: int) -> None:
    for number, how in enumerate(HOWS):
        damage(dataset_copy, f"clip-0{number}", how)
    options = {"spec": SPEC, "max_failure_share": 0.4, "num_workers": num_workers}
    loader = make_loader(dataset_copy, tiny_folder, stage=2, batch_size=2, **options)
    with pytest.raises(InputError, match=r"^[3-6] of 6 clips cannot be read, more than 40%: clip-0. \(") as caught:
        next(iter(loader))
    assert "\n" not in str(caught.value) and "Traceback" not in str(caught.value)
    assert len(loader.samples[SampleKey(0, 0)].failures) == 3  # no more are tried once the run has to end


def test_one_bad_clip_of_few_is_too_many_by_default(dataset_copy: Path, tiny_folder: Path) -> None:
    damage(dataset_copy, "clip-02", "empty")
    with (
        pytest.warns(UserWarning),
        pytest.raises(InputError, match=r"1 of 6 clips cannot be read, more than 5%: clip-02"),
    ):
        list(islice(make_loader(dataset_copy, tiny_folder, stage=1, batch_size=1, spec=SPEC), 6))


@pytest.mark.filterwarnings("ignore:clip clip-0. is skipped")
def test_nothing_left_to_take_a_clips_place(dataset_copy: Path, tiny_folder: Path) -> None:
    for number, how in enumerate(HOWS):
        damage(dataset_copy, f"clip-0{number}", how)
    with pytest.raises(InputError, match="no clip of its size is left to take the place of clip-0"):
        next(iter(make_loader(dataset_copy, tiny_folder, stage=1, batch_size=1, spec=SPEC, max_failure_share=1)))


@pytest.mark.filterwarnings("ignore:clip clip-0. is skipped")
def test_a_bad_mask_or_reference_names_its_clip(dataset_copy: Path, tiny_folder: Path) -> None:
    (dataset_copy / "train" / "densepose" / "clip-03.mp4").write_bytes(b"no mask")
    loader = make_loader(dataset_copy, tiny_folder, stage=1, batch_size=2, spec=SPEC, max_failure_share=0.5)
    list(islice(loader, 3))
    assert loader.failures.reasons.keys() == {"clip-03"}

    damage(dataset_copy, "clip-00", "text")  # which is also a reference for the other two of its source
    loader = make_loader(dataset_copy, tiny_folder, stage=2, batch_size=6, spec=SPEC, max_failure_share=0.5)
    list(islice(loader, 4))
    assert loader.failures.reasons.keys() == {"clip-00"}


def test_each_failure_is_warned_of_once_and_counted_once() -> None:
    log = FailureLog(100, 0.05)
    with pytest.warns(UserWarning) as caught:
        for _ in range(3):
            log.add({f"clip-{i}": "no video" for i in range(5)})
    assert len(caught) == 5
    with pytest.warns(UserWarning), pytest.raises(InputError, match=r"6 of 100 clips .*clip-0 \(no video\).*, \.\.\.;"):
        log.add({"clip-x": "no sound"})
    assert summary({"a": "x", "b": "y"}) == "a (x), b (y)"
    with pytest.raises(InputError, match="between 0 and 1"):
        FailureLog(10, 1.5)


def test_a_worker_that_dies_ends_the_run(dataset_folder: Path, tiny_folder: Path) -> None:
    loader = make_loader(dataset_folder, tiny_folder, stage=1, batch_size=1, spec=SPEC, num_workers=1)
    batches = iter(loader)
    next(batches)
    process = loader._loader._iterator._workers[0]  # as if libav had crashed in it
    with pytest.raises(RuntimeError, match="worker"):
        os.kill(process.pid, 9)
        list(islice(batches, 50))
