"""What is measured of one video: each measure has a value or a reason, and says what it should."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from musedance.errors import InputError
from musedance.evaluation.footage import Facts, Footage
from musedance.evaluation.score import Scorer, unlike
from musedance.evaluation.score_music import aligned
from musedance.evaluation.scored import Scored
from musedance.evaluation.summary import results_of
from musedance.evaluation.tools import ToolOptions, Tools, load_tools
from musedance.media.audio import Audio
from musedance.metrics.i3d import I3D
from musedance.puppets.performance import World, perform
from musedance.report.catalog import MEASURES
from tests.evaluation.test_tools import save_clip, save_weights
from tests.metrics.conftest import Dance, draw_dance, noisy
from tests.metrics.test_lpips import published
from tests.metrics.test_pose import save_vitpose
from tests.metrics.test_wav2clip import random_release

OF_SETS = {name for name, about in MEASURES.items() if about.of_set}
OF_MUSIC = {name for name, about in MEASURES.items() if about.family == "music"}
NOTHING = "there is no true video"


@pytest.fixture(scope="module")
def dances() -> list[Dance]:
    world = World(seed=3, width=64, height=64)
    return [draw_dance(perform(world, index), f"track{index}") for index in range(2)]


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    """Without any weights."""
    return load_tools(ToolOptions(str(tmp_path / "no weights")), torch.device("cpu"))


def footage_of(dance: Dance) -> Footage:
    sound = Audio(np.asarray(dance.sound, np.float32)[None], dance.sampling_rate)
    return Footage(dance.frames, dance.fps, sound, dance.joints, dance.visible, 64)


def facts_of(dance: Dance) -> Facts:
    return Facts(track=dance.track, beats=tuple(dance.beats.tolist()))


def score(scorer: Scorer, video: Footage, facts: Facts | None = None, true: Footage | str = NOTHING) -> Scored:
    return scorer.score(video, facts or Facts(), true, video.frames[0])


def grey(level: float, n: int = 24, fps: float = 12.0, sound: Audio | None = None) -> Footage:
    return Footage(np.full((n, 32, 32, 3), level, np.uint8), fps, sound)


def clicks(seconds: float, period: float = 0.5, rate: int = 16000) -> Audio:
    samples = np.zeros((1, round(seconds * rate)), np.float32)
    for time in np.arange(period, seconds - 0.05, period):
        at = round(time * rate)
        samples[0, at : at + 400] = 0.8 * np.sin(np.arange(400)) * np.linspace(1, 0, 400)
    return Audio(samples, rate)


def test_psnr_of_a_known_difference(tools: Tools) -> None:
    found = score(Scorer(tools), grey(110), true=grey(100))
    assert found.scores["psnr_standard"] == pytest.approx(20 * math.log10(255 / 10), abs=1e-4)
    same = score(Scorer(tools), grey(100), true=grey(100))
    assert same.scores["psnr_standard"] == math.inf and same.scores["ssim_standard"] == pytest.approx(1)


def test_every_measure_has_a_value_a_feature_or_a_reason(tools: Tools, dances: list[Dance]) -> None:
    video = footage_of(dances[0])
    found = score(Scorer(tools, segment_frames=8), video, facts_of(dances[0]), replace(video))
    for name in MEASURES:
        assert (name in found.scores) + (name in found.reasons) + (name in found.features) == 1, name
    assert set(found.reasons) == {"lpips_standard", "lpips_disco", "fvd_standard", "fvd_disco", "cs", "clip_identity"}
    assert all(reason.startswith("not computed: weights missing") for reason in found.reasons.values())
    assert all(math.isfinite(value) for name, value in found.scores.items() if "psnr" not in name)


def test_without_a_true_video_the_rest_is_measured(tools: Tools, dances: list[Dance]) -> None:
    found = score(Scorer(tools), footage_of(dances[0]), facts_of(dances[0]))
    for name, about in MEASURES.items():
        if about.pairwise and not name.startswith("lpips"):
            assert found.reasons[name] == NOTHING
    assert {"beats_hit", "identity", "motion", "flicker"} <= set(found.scores) and "hfd" in found.features


def test_how_videos_may_be_unlike() -> None:
    video = grey(0)
    assert unlike(video, grey(200)) == ""
    assert unlike(video, grey(0, n=23)) == "it has 24 frames, the true video 23"
    assert unlike(video, grey(0, fps=12.5)) == "it has 12.00 frames per second, the true video 12.50"
    assert unlike(video, grey(0, fps=12.005)) == ""
    wide = Footage(np.zeros((24, 32, 48, 3), np.uint8), 12, None)
    assert unlike(video, wide) == "it has 32 x 32 pixels, the true video 48 x 32"


def test_a_video_too_short_for_a_measure_is_named_there(tools: Tools) -> None:
    found = score(Scorer(tools), grey(100, n=4))
    assert found.reasons["hfd"] == "undefined: HFD needs videos of 5 frames or more, this one has 4"
    assert "hfd" not in found.features and found.scores["motion"] == 0
    with pytest.raises(InputError, match="the video has a single frame"):
        score(Scorer(tools), grey(100, n=1))


def test_a_frozen_video_has_no_kinematic_beats(tools: Tools) -> None:
    found = score(Scorer(tools, segment_frames=8), grey(100, 48, sound=clicks(4)), Facts(beats=(0.5, 1.0, 1.5)))
    for name in OF_MUSIC - {"cs", "av_align_2025", "av_align_2023"}:
        assert found.reasons[name] == "undefined: no kinematic beats"
    assert found.reasons["av_align_2025"] == "undefined: no flow peaks"
    assert found.reasons["seam_jump"].startswith("undefined: no seam between segments, or nothing moves")
    assert found.scores["identity"] == found.scores["motion"] == found.scores["flicker"] == 0


def test_seams_are_looked_at_where_they_are_known(tools: Tools, dances: list[Dance]) -> None:
    assert "--segment-frames" in score(Scorer(tools), footage_of(dances[0])).reasons["seam_jump"]
    frames = np.concatenate([dances[0].frames[:16], 255 - dances[0].frames[16:]])
    video = replace(footage_of(dances[0]), frames=frames)
    at, beside = (score(Scorer(tools, segment_frames=k), video).scores["seam_jump"] for k in (16, 15))
    assert at > 3 > beside


def test_curves_are_means_of_seconds(tools: Tools, dances: list[Dance]) -> None:
    found = score(Scorer(tools), footage_of(dances[0]))
    assert set(found.curves) == {"identity", "colour", "change"}
    for name in ("identity", "colour"):
        times, values = found.curves[name]
        assert times == [0.5, 1.5, 2.5, 3.5] and np.mean(values) == pytest.approx(found.scores[name])
    steps = np.abs(np.diff(dances[0].frames.astype(float), axis=0)).mean(axis=(1, 2, 3)) / 255
    assert found.curves["change"][1][0] == pytest.approx(steps[:12].mean())


def test_distances_are_to_the_picture_that_was_given(tools: Tools) -> None:
    far = Scorer(tools).score(grey(100), Facts(), NOTHING, np.full((32, 32, 3), 200, np.uint8))
    near = Scorer(tools).score(grey(100), Facts(), NOTHING, np.full((32, 32, 3), 100, np.uint8))
    assert far.scores["colour"] > 20 > near.scores["colour"] == 0


def test_known_beats_are_taken_and_others_looked_for(tools: Tools, dances: list[Dance]) -> None:
    video = replace(footage_of(dances[0]), sound=clicks(4))
    known = score(Scorer(tools), video, Facts(beats=(-9.0, -1.5, 0.25, 1.0, 5.5, 9.0)))
    assert known.events["music"] == [-1.5, 0.25, 1.0, 5.5]  # 2 s before and after, since edges need them
    heard = np.array(score(Scorer(tools), video, Facts()).events["music"])
    inside = heard[(heard > 0.3) & (heard < 3.7)]
    assert len(inside) >= 5 and np.abs(inside / 0.5 - np.round(inside / 0.5)).max() < 0.12


def test_sound_that_is_missing(tools: Tools, dances: list[Dance]) -> None:
    video, facts = footage_of(dances[0]), facts_of(dances[0])
    mute = replace(video, sound=None)
    lent, own = score(Scorer(tools), mute, facts, video), score(Scorer(tools), video, facts)
    assert lent.events == own.events and lent.scores["beats_hit"] == own.scores["beats_hit"]
    for true in (NOTHING, mute):
        without = score(Scorer(tools), mute, facts, true)
        assert all(without.reasons[name] == "undefined: the video has no sound" for name in OF_MUSIC)
        assert not without.events and without.scores["motion"] == own.scores["motion"]
        assert len(without.speed[0]) == len(video.frames) - 1


def test_joints_tell_the_same_beats_as_flow_and_only_about_music(tools: Tools, dances: list[Dance]) -> None:
    video, facts = footage_of(dances[1]), facts_of(dances[1])
    joints = score(Scorer(tools, beats_from="keypoints", music_only=True), video, facts)
    assert set(joints.scores) | set(joints.reasons) == OF_MUSIC - {"cs"}  # which is about pictures
    assert not joints.features and not joints.curves and joints.scores["mm_align"] > 0.9
    far = replace(video, joints=2 * video.joints, height=128)  # of a video twice as large
    assert score(Scorer(tools, beats_from="keypoints"), far, facts).speed == joints.speed


def test_what_beats_come_from_has_to_be_there(tools: Tools, dances: list[Dance]) -> None:
    with pytest.raises(InputError, match="come from flow, pose, keypoints, not from 'ears'"):
        Scorer(tools, beats_from="ears")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="need --pose-model"):
        Scorer(tools, beats_from="pose")
    with pytest.raises(InputError, match="there are no keypoints with the video"):
        score(Scorer(tools, beats_from="keypoints"), replace(footage_of(dances[0]), joints=None))


def test_a_pose_model_can_tell_the_motion(tmp_path: Path, dances: list[Dance]) -> None:
    save_vitpose(tmp_path / "pose")
    tools = load_tools(ToolOptions(str(tmp_path), pose=str(tmp_path / "pose")), torch.device("cpu"))
    video = replace(footage_of(dances[0]), frames=dances[0].frames[:12], joints=None)
    found = score(Scorer(tools, beats_from="pose"), video, facts_of(dances[0]))
    assert len(found.speed[1]) == 11 and max(found.speed[1]) > 0
    assert Scorer(tools, beats_from="pose").key != Scorer(tools).key


def test_the_key_changes_with_what_scores_depend_on(tools: Tools) -> None:
    base = Scorer(tools)
    other_weights = replace(tools, files={"i3d": "i3d_pretrained_400.pt, sha256 0123"})
    others = [
        Scorer(tools, segment_frames=8),
        Scorer(tools, beats_from="keypoints"),
        Scorer(tools, music_only=True),
        Scorer(other_weights),
    ]
    assert len({base.key, *(scorer.key for scorer in others)}) == 5 and Scorer(tools).key == base.key


# How motion goes with music: events made by hand.


def with_events(seconds: float, kinematic: list[float], music: list[float], **more: list[float]) -> Scored:
    events = {"kinematic": kinematic, "music": music, "onsets": [], "flow peaks": [], **more}
    return Scored(20.0, round(20 * seconds), events=events)


def test_only_the_length_that_both_have_counts() -> None:
    long = with_events(4, [0.5, 1.0, 1.5, 2.6, 3.3], [0.5 * k for k in range(-2, 12)])
    short = with_events(2, [0.5, 1.0, 1.4], [0.5 * k for k in range(-2, 8)])
    # Over 2 s the long one rests at 0.5, 1.0 and 1.5; the short one's music asks for these three.
    assert aligned("beats_hit", long, short) == 1.0
    assert aligned("mm_align", long, short) == pytest.approx(1.0)
    # Over 4 s it is asked for seven beats and rests near 2.5, not near 2.0, 3.0 and 3.5.
    assert aligned("beats_hit", long, long) == pytest.approx(4 / 7)
    # The short video cannot answer beats after its end.
    assert aligned("beats_hit", short, long) == pytest.approx(1.0)
    far = math.exp(-(0.1**2) / (2 * 0.05**2))
    assert aligned("mm_align", short, long) == pytest.approx((2 + far) / 3)
    assert aligned("mm_align_reverse", short, long) == pytest.approx((2 + far) / 3)


def test_music_half_a_beat_late_is_missed() -> None:
    exact = with_events(4, [0.5 * k for k in range(1, 8)], [0.5 * k for k in range(-4, 12)])
    assert aligned("mm_align", exact, exact) == pytest.approx(1) and aligned("beats_hit", exact, exact) == 1
    assert aligned("beats_hit", exact, exact, late=0.25) == 0
    assert aligned("mm_align", exact, exact, late=0.25) == pytest.approx(math.exp(-12.5), rel=1e-3)
    assert aligned("beats_hit", exact, exact, late=0.5) == 1  # a whole beat: beats before the clip move into it
    assert aligned("mm_align", exact, exact, late=0.05) == pytest.approx(math.exp(-0.5))


def test_onsets_meet_flow_peaks() -> None:
    video = with_events(4, [], [], onsets=[0.5, 1.5, 2.5, 3.9], **{"flow peaks": [0.5, 1.5, 2.7]})
    assert aligned("av_align_2025", video, video) == pytest.approx(2 / 5)
    assert aligned("av_align_2025", video, video, late=0.2) == pytest.approx(1 / 5)  # 3.9 has left the video
    assert aligned("beats_hit", video, video) is None and aligned("mm_align", video, video) is None
    nothing = Scored(20.0, 80)
    assert aligned("av_align_2025", video, nothing) is aligned("beats_hit", nothing, video) is None


def test_cs_is_the_cosine_of_a_videos_pictures_and_somebodys_music() -> None:
    video, music = Scored(12, 24), Scored(12, 24)
    video.features["clip"] = np.array([3.0, 4.0, 0.0], np.float32)
    music.features["wav2clip"] = np.array([0.0, 1.0, 0.0], np.float32)
    assert aligned("cs", video, music) == pytest.approx(0.8) and aligned("cs", video, video) is None


# All networks, with random weights in the published formats.


@pytest.fixture(scope="module")
def all_tools(tmp_path_factory: pytest.TempPathFactory) -> Tools:
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    i3d = I3D().eval()
    for module in i3d.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight)
    with pytest.MonkeyPatch.context() as patch:
        save_weights(i3d.state_dict(), "i3d", folder, patch)
        save_weights(random_release(), "wav2clip", folder, patch)
        save_weights(published("alex"), "lpips_alex", folder, patch)
        save_weights(published("vgg"), "lpips_vgg", folder, patch)
        options = ToolOptions(str(folder), clip=str(save_clip(folder / "clip")))
        return load_tools(options, torch.device("cpu"))


def test_with_all_weights_every_measure_is_computed(
    all_tools: Tools, dances: list[Dance], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("musedance.metrics.fvd.SIDE", 64)  # pixels of what I3D sees; 224 take half a minute
    assert not all_tools.missing and len(all_tools.files) == 5
    scorer = Scorer(all_tools, segment_frames=8)
    made: dict[str, Scored] = {}
    true: dict[str, Scored] = {}
    for dance in dances:
        own = footage_of(dance)
        own = replace(
            own, frames=own.frames[:16, 8:56, 8:56], sound=own.sound.cut(0, 16 / 12)
        )  # of one length and rate
        worse = replace(own, frames=noisy(own.frames, 20))
        made[dance.track] = scorer.score(worse, facts_of(dance), own, own.frames[0])
        true[dance.track] = scorer.score(own, facts_of(dance), own, own.frames[0])
    facts = {dance.track: facts_of(dance) for dance in dances}
    results, perfect = results_of(made, facts, true, 0), results_of(true, facts, true, 0)
    assert set(results) == set(MEASURES)
    for name, result in results.items():
        assert result.value is not None and math.isfinite(result.value) and result.n == 2, (name, result)
        assert not result.reason and not result.excluded
        better, best = MEASURES[name].better, perfect[name].value
        if MEASURES[name].pairwise or MEASURES[name].of_set or name == "clip_identity":
            assert (result.value < best) if better == "higher" else (result.value > best), name
    for name in ("lpips_standard", "lpips_disco", "fvd_standard", "fvd_disco", "hfd"):
        assert perfect[name].value == pytest.approx(0, abs=1e-4)
    assert results["lpips_standard"].value != pytest.approx(results["lpips_disco"].value, rel=0.01)
    assert [null.kind for null in results["cs"].nulls] == ["other music"]
    assert {"clip_identity", "lpips_change"} <= set(made["track0"].curves)


def test_a_video_too_short_for_the_networks_is_named(all_tools: Tools, dances: list[Dance]) -> None:
    video = footage_of(dances[0])
    short = replace(video, frames=video.frames[:4, :16, :16], sound=Audio(np.zeros((1, 16000), np.float32), 16000))
    found = score(Scorer(all_tools), short, Facts(beats=(0.1, 0.2)), short)
    assert "needs videos of 9 frames or more, this one has 4" in found.reasons["fvd_standard"]
    assert "needs videos of 16 frames or more, this one has 4" in found.reasons["fvd_disco"]
    assert "HFD needs" in found.reasons["hfd"] and "needs frames of" in found.reasons["lpips_standard"]
    assert "silence" in found.reasons["cs"] and "clip_identity" in found.scores
    assert not OF_SETS & set(found.features)
