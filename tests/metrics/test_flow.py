"""Optical flow: lengths that are known, and stills that are not quite still."""

import io
import sys

import av
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from musedance.errors import InputError
from musedance.metrics.flow import flow_magnitudes
from musedance.metrics.kinematics import LEAST_FLOW, LEAST_JOINT_SPEED, joint_speed, kinematic_beats
from musedance.metrics.onsets import flow_peaks


def texture(side: int, seed: int = 0) -> np.ndarray:
    """A picture (side, side, 3) with detail everywhere, the same where it is continued over its edges."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(side, side)), 2, mode="wrap")
    grey = np.clip(128 + 60 * noise / noise.std(), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


def compressed(frames: np.ndarray, crf: int) -> np.ndarray:
    """The frames after H.264, with a key frame every second."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=12, options={"crf": str(crf), "g": "12"})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    file.seek(0)
    with av.open(file) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


@pytest.mark.parametrize("pixels", [1, 2, 3])
@pytest.mark.parametrize("fps", [12, 30])
def test_a_picture_that_slides(pixels: int, fps: int) -> None:
    frames = np.stack([np.roll(texture(128), k * pixels, axis=1) for k in range(5)])
    flow = flow_magnitudes(frames, fps)
    assert flow.shape == (4,)
    # What hardly differs after the step does not count, so a little is missing.
    np.testing.assert_allclose(flow, pixels * fps / 128, rtol=0.2)


def test_the_unit_is_the_frame_height() -> None:
    small = np.stack([np.roll(texture(96), 2 * k, axis=0) for k in range(4)])
    large = small.repeat(3, axis=1).repeat(3, axis=2)
    np.testing.assert_allclose(flow_magnitudes(large, 12, max_side=96), flow_magnitudes(small, 12), rtol=1e-6)
    padded = np.concatenate([small, small], axis=1)
    np.testing.assert_allclose(flow_magnitudes(padded, 12, 192), flow_magnitudes(small, 12, 192) / 2, rtol=0.1)


def test_a_frozen_video_has_no_flow(dances) -> None:
    for dance in dances:
        assert not flow_magnitudes(np.repeat(dance.frames[:1], 5, axis=0), 12).any()


@pytest.mark.parametrize("crf", [18, 23, 28])
def test_a_compressed_still_has_no_motion(dances, crf: int) -> None:
    for dance in dances:
        still = compressed(np.repeat(dance.frames[:1], 48, axis=0), crf)
        assert np.abs(np.diff(still.astype(int), axis=0)).max() > 0  # it does differ
        flow = flow_magnitudes(still, 12)
        assert flow.mean() < LEAST_FLOW / 4
        assert len(kinematic_beats(flow, 12, LEAST_FLOW)) == 0


def test_a_noisy_still_has_no_motion(dances) -> None:
    rng = np.random.default_rng(0)
    for dance in dances:
        noise = rng.normal(0, 4, (24, *dance.frames.shape[1:]))
        still = np.clip(dance.frames[0] + noise, 0, 255).round().astype(np.uint8)
        flow = flow_magnitudes(still, 12)
        assert flow.max() < LEAST_FLOW
        assert len(kinematic_beats(flow, 12, LEAST_FLOW)) == len(flow_peaks(flow, 12)) == 0


def test_it_follows_the_dancers_joints(dances) -> None:
    alike = []
    for dance in dances:
        joints = joint_speed(dance.joints, dance.visible, dance.fps, dance.frames.shape[1])
        assert len(kinematic_beats(joints, dance.fps, LEAST_JOINT_SPEED)) > 0
        alike.append(np.corrcoef(flow_magnitudes(dance.frames, dance.fps), joints)[0, 1])
    assert np.median(alike) > 0.75


def test_without_opencv_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(InputError, match=r"musedance\[metrics\]"):
        flow_magnitudes(np.zeros((2, 64, 64, 3), np.uint8), 12)


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((1, 8, 8, 3), np.uint8),
        np.zeros((4, 8, 8), np.uint8),
        np.zeros((4, 8, 8, 4), np.uint8),
        np.zeros((4, 8, 8, 3), np.float32),
    ],
)
def test_other_arrays_are_refused(frames: np.ndarray) -> None:
    with pytest.raises(ValueError, match="frames must be"):
        flow_magnitudes(frames, 12)
