"""Drift, flicker and seams: closed forms on plain pictures, properties on drawn dances."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from skimage.color import rgb2lab

from musedance.metrics.consistency import (
    colour_distances,
    drift,
    flicker,
    identity_distances,
    per_second,
    seam_jump,
    seam_jumps,
)
from musedance.puppets.performance import Performance, World, perform
from musedance.puppets.scene import Scene
from tests.metrics.conftest import Dance, blurred, draw_dance, noisy, shuffled, tinted

REAL_DANCE = Path(__file__).resolve().parents[2] / ".." / "shared" / "samples" / "dance_real_24fps.mp4"


def plain(*colours: tuple[int, int, int], size: int = 32) -> np.ndarray:
    """A frame of one colour for each given."""
    return np.broadcast_to(np.array(colours, np.uint8)[:, None, None], (len(colours), size, size, 3)).copy()


def grey(levels: np.ndarray, size: int = 32) -> np.ndarray:
    """A frame of one grey for each level."""
    return plain(*((level,) * 3 for level in np.rint(levels).astype(int)), size=size)


@pytest.fixture(scope="module")
def performances() -> list[Performance]:
    return [perform(World(seed=3, width=64, height=64), index) for index in range(16)]


@pytest.fixture(scope="module")
def take(performances: list[Performance]) -> Dance:
    """12 s in one go."""
    return draw_dance(performances[3], "long", seconds=12)


# identity


def test_identity_is_0_for_the_picture_itself_and_1_where_nothing_is_in_common() -> None:
    black, white = plain((0, 0, 0), (255, 255, 255))
    assert identity_distances(np.stack([black, white]), black) == pytest.approx([0, 1], abs=1e-6)


def test_half_a_picture_in_common_is_the_hellinger_distance_of_a_half() -> None:
    """Left and right half: the edge between them is too short to count."""
    black, white = plain((0, 0, 0), (255, 255, 255), size=128)
    mixed = np.concatenate([black[:, :64], white[:, 64:]], axis=1)
    assert identity_distances(mixed[None], black)[0] == pytest.approx(np.sqrt(1 - np.sqrt(1 / 2)), abs=0.01)


def test_identity_asks_what_is_seen_and_not_where(dances: list[Dance]) -> None:
    frame = dances[3].frames[0]
    assert identity_distances(np.stack([frame[:, ::-1], frame[::-1]]), frame) == pytest.approx(0, abs=1e-3)


def test_identity_tells_a_pattern_from_its_mean_colour() -> None:
    checks = np.where((np.indices((64, 64)) // 8).sum(0)[..., None] % 2, [200, 60, 60], [60, 60, 200]).astype(np.uint8)
    halves = np.where(np.indices((64, 64))[1][..., None] < 32, [200, 60, 60], [60, 60, 200]).astype(np.uint8)
    assert identity_distances(checks[None], halves)[0] > 0.3


def test_identity_stays_low_and_flat_in_a_dance(dances: list[Dance]) -> None:
    for dance in dances:
        distances = identity_distances(dance.frames, dance.frames[0])
        assert distances.max() < 0.13, dance.track
        assert abs(drift(distances, dance.fps) or 0) < 0.02, dance.track


def test_the_right_picture_is_the_nearest_of_16(performances: list[Performance]) -> None:
    """References are from another clip of the source, so no frame is its own reference."""
    references = [one.scene.draw(one.choreography.pose(one.starts[1] / 12)).picture for one in performances]
    for index, one in enumerate(performances):
        frames = np.stack([one.scene.draw(one.choreography.pose(time)).picture for time in np.arange(4)])
        distances = np.stack([identity_distances(frames, reference) for reference in references])
        assert (distances.argmin(0) == index).all()
        assert np.delete(distances, index, 0).min() > distances[index].max() + 0.05


def test_another_dancer_on_the_same_stage_is_farther_than_any_pose(performances: list[Performance]) -> None:
    stage = performances[6]
    for other in (one for one in performances if one is not stage):
        scene, guest = stage.scene, other.scene
        swapped = Scene(
            guest.character, scene.background, scale=guest.scale, feet=guest.feet, turn=guest.turn, shaded=guest.shaded
        )
        poses = [stage.choreography.pose(time) for time in np.arange(0, 4, 0.5)]
        own, others = (np.stack([who.draw(pose).picture for pose in poses]) for who in (scene, swapped))
        reference = own[0]
        assert identity_distances(others, reference).mean() > 2 * identity_distances(own, reference).mean()


@pytest.mark.parametrize("strengths", [(0.7, 1.5, 3.0)])
def test_identity_grows_with_blur(dances: list[Dance], strengths: tuple[float, ...]) -> None:
    for dance in dances:
        still = dance.frames[:1]
        distances = [float(identity_distances(blurred(still, sigma), still[0])[0]) for sigma in (0, *strengths)]
        assert distances == sorted(distances) and distances[1] > 0.01


def test_pictures_may_differ_in_size(dances: list[Dance]) -> None:
    frames = dances[0].frames
    doubled = frames[0].repeat(2, 0).repeat(2, 1)
    assert identity_distances(frames[:3], doubled) == pytest.approx(identity_distances(frames[:3], frames[0]), abs=1e-6)
    assert colour_distances(frames[:3], doubled) == pytest.approx(colour_distances(frames[:3], frames[0]), abs=1e-4)


# colour


def test_colour_distance_of_plain_pictures_is_delta_e() -> None:
    colours = (120, 60, 30), (130, 90, 200), (0, 0, 0), (255, 255, 255)
    lab = rgb2lab(np.array(colours, np.uint8))
    expected = np.linalg.norm(lab - lab[0], axis=1)
    frames = plain(*colours)
    assert colour_distances(frames, frames[0]) == pytest.approx(expected, abs=0.3)


def test_colour_distance_of_a_common_step_is_that_step_whatever_the_picture(dances: list[Dance]) -> None:
    """In grey pictures a step of L is all there is: a stretch of contrast about the mean is seen, too."""
    levels = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    noise = levels[..., None].repeat(3, 2)
    half = (128 + (noise.astype(int) - 128) // 2).astype(np.uint8)
    lightness = [np.sort(rgb2lab(picture)[..., 0].ravel()) for picture in (noise, half)]
    assert colour_distances(half[None], noise)[0] == pytest.approx(np.abs(lightness[0] - lightness[1]).mean(), rel=0.02)


def test_colour_distance_does_not_see_motion_but_a_growing_cast(dances: list[Dance]) -> None:
    for dance in dances:
        reference = dance.frames[0]
        moving = colour_distances(dance.frames, reference)
        cast = [float(colour_distances(tinted(dance.frames, most)[-1:], reference)[0]) for most in (10, 20, 40)]
        assert np.median(moving) < 2.3 < cast[0] < cast[1] < cast[2]


# drift


def test_drift_is_the_slope_per_second() -> None:
    assert drift(3 + 0.25 * np.arange(48) / 12, 12) == pytest.approx(0.25)
    assert drift(np.full(5, 2.0), 30) == pytest.approx(0)
    assert drift(np.array([1.0]), 12) is None
    assert drift(np.empty(0), 12) is None


def test_a_growing_cast_is_drift_of_colour_at_its_rate(dances: list[Dance]) -> None:
    frames = dances[0].frames[:1].repeat(48, 0)
    distances = colour_distances(tinted(frames, 30), frames[0])
    assert drift(distances, 12) == pytest.approx(distances[-1] / 4, rel=0.15)


def test_another_dancer_half_way_is_drift_of_identity(dances: list[Dance], take: Dance) -> None:
    changed = np.concatenate([dances[0].frames[:24], dances[1].frames[24:]])
    plain_drift = drift(identity_distances(take.frames, take.frames[0]), take.fps)
    assert plain_drift is not None and abs(plain_drift) < 0.005
    distances = identity_distances(changed, changed[0])
    assert distances[24:].min() > 3 * distances[:24].max()
    assert (drift(distances, 12) or 0) > 0.05


# flicker


def test_a_frozen_video_does_not_flicker_and_two_frames_cannot(dances: list[Dance]) -> None:
    assert flicker(dances[0].frames[:1].repeat(10, 0)) == 0
    assert flicker(dances[0].frames[:2]) is None


def test_flicker_of_independent_noise() -> None:
    """0.3138 s solves 2 integral phi(x) Phi(x - m)^2 dx = 1/2; grey noise, so that luma has the same deviation."""
    rng = np.random.default_rng(0)
    for deviation in (10, 20):
        levels = rng.normal(128, deviation, (800, 16, 16)).round().astype(np.uint8)
        assert flicker(levels[..., None].repeat(3, 3)) == pytest.approx(0.3138 * deviation / 255, rel=0.03)


def test_flicker_of_brightness_that_jitters() -> None:
    levels = 128 + np.random.default_rng(0).normal(0, 20, 4999)
    assert flicker(grey(levels, size=2)) == pytest.approx(0.3138 * 20 / 255, rel=0.05)
    assert flicker(grey(128 + 5.0 * (-1) ** np.arange(20))) == pytest.approx(10 / 255, rel=1e-4)


def test_neither_motion_nor_fading_nor_a_flash_is_flicker(dances: list[Dance]) -> None:
    bar = np.full((40, 32, 64, 3), 30, np.uint8)
    for index, frame in enumerate(bar):
        frame[:, index : index + 8] = 220
    flash = grey(np.where(np.arange(40) == 20, 250, 30))
    for frames in (bar, grey(np.linspace(0, 255, 40)), flash):
        assert flicker(frames) == 0
    for dance in dances:
        assert (flicker(dance.frames) or 0) < 0.2 / 255, dance.track


def test_flicker_grows_with_noise_and_jitter_in_a_dance(dances: list[Dance]) -> None:
    def jittered(dance: Dance, deviation: float) -> np.ndarray:
        offsets = np.random.default_rng(len(dance.track)).normal(0, deviation, (len(dance.frames), 1, 1, 1))
        return np.clip(dance.frames + offsets, 0, 255).round().astype(np.uint8)

    for ruin in (lambda dance, deviation: noisy(dance.frames, deviation), jittered):
        values = [np.mean([flicker(ruin(dance, deviation)) or 0 for dance in dances]) for deviation in (0, 3, 6, 12)]
        assert values == sorted(values) and values[1] > 0.3 / 255


def test_flicker_is_the_same_in_strips(take: Dance) -> None:
    """Big videos are worked through in strips of rows."""
    tall = np.tile(noisy(take.frames[:24], 8), (1, 8, 8, 1))
    assert tall[0].shape[0] * tall[0].shape[1] * 24 > 2**22
    assert flicker(tall) == pytest.approx(flicker(noisy(take.frames[:24], 8)))


# seams


def test_a_seam_of_known_height() -> None:
    """Up by 1 each frame, by 5 at the two seams."""
    levels = np.arange(12) + 4 * (np.arange(12) // 4)
    assert seam_jumps(grey(levels), 4) == pytest.approx([5, 5])
    assert seam_jump(grey(levels), 4) == pytest.approx(5)


def test_without_seam_or_motion_there_is_no_jump(dances: list[Dance]) -> None:
    frames = dances[0].frames
    assert seam_jump(frames, len(frames)) is None
    assert seam_jump(frames[:1].repeat(8, 0), 4) is None
    assert seam_jump(grey(np.arange(4)), 1) is None, "every pair is a seam: nothing to compare with"
    assert seam_jump(frames[:1], 4) is None
    assert len(seam_jumps(frames, len(frames))) == 0


def test_takes_glued_together_jump_and_one_take_does_not(performances: list[Performance]) -> None:
    """Dancers hold poses and leap, so a single seam says little: means over the videos."""
    one, glued = [], []
    for index, performance in enumerate(performances[:4]):
        frames = draw_dance(performance, str(index), seconds=12).frames
        one.append(seam_jump(frames, 48))
        glued.append(seam_jump(np.concatenate([frames[60:108], frames[:48], frames[96:]]), 48))
    assert min(glued) > 2 > 1.5 > np.mean(one)
    assert all(high > low for low, high in zip(one, glued, strict=True))


def test_seam_jump_of_undisturbed_dances_is_about_1(dances: list[Dance]) -> None:
    jumps = [seam_jumps(dance.frames[offset:], 12) for dance in dances for offset in range(12)]
    assert np.concatenate(jumps).mean() == pytest.approx(1, abs=0.1)


# curves


def test_per_second_gives_means_at_the_middle_of_each_second() -> None:
    times, means = per_second(np.arange(30.0), 12)
    assert times.tolist() == [0.5, 1.5, 2.5]
    assert means.tolist() == [5.5, 17.5, 26.5]


@pytest.mark.parametrize("fps", [24000 / 1001, 25, 30000 / 1001, 1])
def test_per_second_has_a_point_each_second_to_the_end(fps: float) -> None:
    times, means = per_second(np.ones(round(12 * fps)), fps)
    assert times.tolist() == [second + 0.5 for second in range(12)] and means == pytest.approx(1)


# invariances


def test_order_of_frames_matters_to_flicker_and_drift_alone(dances: list[Dance]) -> None:
    frames, order = dances[0].frames, shuffled(np.arange(48))
    for distances in (identity_distances, colour_distances):
        assert (distances(frames[order], frames[0]) == distances(frames, frames[0])[order]).all()
    assert flicker(frames[order]) != flicker(frames)


@pytest.mark.skipif(not REAL_DANCE.exists(), reason="needs a real video")
def test_a_real_dance_keeps_its_look() -> None:
    import av

    with av.open(REAL_DANCE) as video:
        frames = np.stack(
            [frame.reformat(180, 320, "rgb24").to_ndarray() for frame in islice(video.decode(video=0), 0, 96, 2)]
        )
    identity = identity_distances(frames, frames[0])
    assert identity.max() < 0.15 and abs(drift(identity, 12) or 0) < 0.01
    assert np.median(colour_distances(frames, frames[0])) < 2.3
    assert (flicker(frames) or 0) < 0.2 / 255
