"""DensePose by a real TorchScript archive with the interface of the exported models; its people are coloured boxes."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from musedance.errors import InputError
from musedance.prepare.densepose import choose_person, load_annotator, paste
from musedance.prepare.densepose_ops import provide_torchvision_ops
from musedance.prepare.densepose_torchscript import TorchScriptDensePose, box_labels

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")

RED, BLUE = (250, 10, 20), (20, 10, 250)
SIDE = 112


class Exported(torch.nn.Module):
    """A BGR picture -> boxes, coarse, fine, u, v. Someone red has patches 3 left and 4 right, 5 below the middle, and
    no person in the right quarter of the box; someone blue is patch 7 all over."""

    def forward(
        self, image: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        assert image.dim() == 3 and image.size(0) == 3 and image.dtype == torch.uint8
        blue, red = image[0] > 200, image[2] > 200
        boxes, coarse, fine = [torch.zeros(0, 4)], [torch.zeros(0, 2, 112, 112)], [torch.zeros(0, 25, 112, 112)]
        for kind, seen in enumerate([red, blue]):
            if bool(seen.any()):
                ys, xs = torch.where(seen)
                boxes.append(torch.stack([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]).float().unsqueeze(0))
                person, patches = torch.zeros(1, 2, 112, 112), torch.zeros(1, 25, 112, 112)
                person[:, 1] = 2.0
                if kind == 0:
                    person[:, 0, :, 84:] = 4.0
                    patches[:, 3, :56, :56] = 1.0
                    patches[:, 4, :56, 56:] = 1.0
                    patches[:, 5, 56:] = 1.0
                else:
                    patches[:, 7] = 1.0
                coarse.append(person)
                fine.append(patches)
        found = torch.cat(fine)
        return torch.cat(boxes), torch.cat(coarse), found, found, found


def red_labels(height: int, width: int) -> np.ndarray:
    """What the red person's box of an even size has to hold."""
    labels = np.zeros((height, width), np.uint8)
    labels[: height // 2, : width // 2] = 3
    labels[: height // 2, width // 2 :] = 4
    labels[height // 2 :] = 5
    labels[:, 3 * width // 4 :] = 0
    return labels


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("densepose") / "exported model.torchscript"
    torch.jit.script(Exported()).save(str(path))
    return path


@pytest.fixture(scope="module")
def annotator(archive: Path) -> TorchScriptDensePose:
    annotator = load_annotator(archive, device="cpu")
    assert isinstance(annotator, TorchScriptDensePose)
    return annotator


def picture(height: int = 560, width: int = 640, **people: tuple[int, int, int, int]) -> np.ndarray:
    """A grey RGB frame with a filled box (x0, y0, x1, y1) for each of `red` and `blue`."""
    frame = np.full((height, width, 3), 90, np.uint8)
    for name, (x0, y0, x1, y1) in people.items():
        frame[y0:y1, x0:x1] = {"red": RED, "blue": BLUE}[name]
    return frame


def test_labels_lie_in_the_persons_box_and_nowhere_else(annotator: TorchScriptDensePose) -> None:
    x0, y0, x1, y1 = box = (100, 50, 100 + 2 * SIDE, 50 + 4 * SIDE)
    labels = annotator.annotate(picture(red=box)[None])
    assert labels.shape == (1, 560, 640) and labels.dtype == np.uint8
    expected = np.zeros((560, 640), np.uint8)
    expected[y0:y1, x0:x1] = red_labels(y1 - y0, x1 - x0)
    np.testing.assert_array_equal(labels[0], expected)


def test_every_frame_is_read_by_itself(annotator: TorchScriptDensePose) -> None:
    frames = [picture(red=(10, 10, 122, 122)), picture(), picture(blue=(300, 200, 412, 500))]
    labels = annotator.annotate(np.stack(frames))
    for frame, found in zip(frames, labels, strict=True):
        np.testing.assert_array_equal(annotator.annotate(frame[None])[0], found)
    assert [sorted(set(found.ravel().tolist())) for found in labels] == [[0, 3, 4, 5], [0], [0, 7]]


def test_the_largest_person_is_taken_or_the_one_in_the_given_box(annotator: TorchScriptDensePose) -> None:
    red, blue = (10, 10, 122, 122), (300, 100, 500, 500)
    frames = picture(red=red, blue=blue)[None]

    def patches(boxes: np.ndarray | None) -> set[int]:
        return set(annotator.annotate(frames, boxes).ravel().tolist()) - {0}

    assert patches(None) == {7}
    assert patches(np.array(blue)) == {7}
    assert patches(np.array([0, 0, 150, 140])) == {3, 4, 5}
    assert patches(np.array([[0, 0, 150, 140]])) == {3, 4, 5}
    assert patches(np.array([560, 520, 640, 560])) == set()  # nobody there


def test_boxes_may_differ_from_frame_to_frame_but_not_in_number(annotator: TorchScriptDensePose) -> None:
    red, blue = (10, 10, 122, 122), (300, 100, 500, 500)
    frames = np.stack([picture(red=red, blue=blue)] * 2)
    labels = annotator.annotate(frames, np.array([red, blue]))
    assert 7 not in labels[0] and 7 in labels[1]
    with pytest.raises(ValueError, match="shape"):
        annotator.annotate(frames, np.array([red, blue, red]))


def test_small_frames_are_enlarged_and_their_labels_lie_where_the_person_is(annotator: TorchScriptDensePose) -> None:
    x0, y0, x1, y1 = box = (16, 8, 40, 40)
    (labels,) = annotator.annotate(picture(48, 60, red=box)[None])
    expected = np.zeros((48, 60), np.uint8)
    expected[y0:y1, x0:x1] = red_labels(32, 24)
    ys, xs = np.nonzero(labels)
    assert abs(xs.min() - x0) <= 1 and abs(ys.min() - y0) <= 1 and abs(ys.max() + 1 - y1) <= 1
    for y, x in ((12, 20), (12, 31), (36, 20), (36, 31), (12, 38), (4, 4)):
        assert labels[y, x] == expected[y, x]


def test_patches_are_the_best_after_resizing_where_the_coarse_map_sees_a_person() -> None:
    # Two cells side by side: patch 1 scores 3 and 0, patch 2 scores 0 and 1. Bilinear over 8 pixels, patch 1 leads
    # until 3 (1 - t) = t, t = 0.75: cell centres lie at pixels 1.5 and 5.5, so up to pixel 4.5.
    fine = torch.zeros(25, 1, 2)
    fine[1, 0, 0], fine[2, 0, 1] = 3.0, 1.0
    person = torch.tensor([[[0.0, 0.0]], [[1.0, 1.0]]])
    assert box_labels(person, fine, (1, 8)).tolist() == [[1, 1, 1, 1, 1, 2, 2, 2]]
    nobody = person.flip(0)
    assert not box_labels(nobody, fine, (1, 8)).any()


def test_an_annotator_can_be_pickled_after_use(annotator: TorchScriptDensePose) -> None:
    frames = picture(red=(10, 10, 122, 122))[None]
    labels = annotator.annotate(frames)
    copied = pickle.dumps(annotator)
    assert len(copied) < 1000  # the model stays behind
    np.testing.assert_array_equal(pickle.loads(copied).annotate(frames), labels)


def test_what_is_no_densepose_archive_is_named(tmp_path: Path) -> None:
    frames = picture()[None]
    with pytest.raises(InputError, match=r"no DensePose file .*missing\.pt"):
        load_annotator(tmp_path / "missing.pt")
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(InputError, match=r"text\.pt cannot be loaded as TorchScript: .+") as raised:
        load_annotator(tmp_path / "text.pt", device="cpu").annotate(frames)
    assert "\n" not in str(raised.value)
    torch.jit.script(torch.nn.Identity()).save(str(tmp_path / "other.pt"))
    with pytest.raises(InputError, match=r"other\.pt is no DensePose export"):
        load_annotator(tmp_path / "other.pt", device="cpu").annotate(frames)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_an_input_error(archive: Path) -> None:
    with pytest.raises(InputError, match="no device cuda"):
        load_annotator(archive, device="cuda").annotate(picture()[None])


class Suppressing(Exported):
    """Calls torchvision's operator, as the real exports do."""

    def forward(
        self, image: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        boxes = torch.tensor([[10.0, 10.0, 122.0, 122.0], [12.0, 10.0, 122.0, 122.0]])
        kept = torch.ops.torchvision.nms(boxes, torch.tensor([0.5, 0.9]), 0.5)
        coarse, fine = torch.zeros(len(kept), 2, 112, 112), torch.zeros(len(kept), 25, 112, 112)
        coarse[:, 1], fine[:, 9] = 1.0, 1.0
        return boxes[kept], coarse, fine, fine, fine


def test_an_archive_that_needs_torchvisions_operators_loads_in_a_new_process(tmp_path: Path) -> None:
    provide_torchvision_ops()
    torch.jit.script(Suppressing()).save(str(tmp_path / "nms.pt"))
    code = (
        "import sys, numpy as np; from musedance.prepare.densepose import load_annotator; "
        "labels = load_annotator(sys.argv[1], device='cpu').annotate(np.zeros((1, 512, 512, 3), np.uint8)); "
        "print((labels[0] == 9).sum(), labels[0, 10, 11], labels[0, 10, 12])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "nms.pt")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == [str(110 * 112), "0", "9"], done.stderr


coordinate = st.integers(-20, 40)


@given(coordinate, coordinate, st.integers(1, 30), st.integers(1, 30))
def test_a_part_is_pasted_where_it_belongs_and_cut_at_the_borders(left: int, top: int, width: int, height: int) -> None:
    part = (np.arange(height * width, dtype=np.uint8) % 24 + 1).reshape(height, width)
    labels = np.zeros((20, 25), np.uint8)
    paste(labels, part, left, top)
    for y in range(20):
        for x in range(25):
            inside = 0 <= y - top < height and 0 <= x - left < width
            assert labels[y, x] == (part[y - top, x - left] if inside else 0)


def test_nobody_found_or_an_empty_box_means_nobody() -> None:
    assert choose_person(np.zeros((0, 4)), None) is None
    assert choose_person(np.zeros((0, 4)), np.array([0, 0, 9, 9])) is None
    found = np.array([[0.0, 0, 9, 9], [20, 20, 50, 50]])
    assert choose_person(found, np.array([9.0, 0, 12, 9])) is None  # touches, without a common pixel
    assert choose_person(found, np.array([8.0, 8, 12, 12])) == 0


def test_a_box_over_everything_does_not_win_by_its_size() -> None:
    found = np.array([[0.0, 0, 100, 100], [40, 40, 60, 60]])
    assert choose_person(found, np.array([38.0, 38, 60, 60])) == 1
