"""Everything that is measured of one video."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import numpy as np

from musedance.errors import InputError
from musedance.evaluation.footage import Facts, Footage
from musedance.evaluation.score_music import add_events, aligned, sound_of, why_undefined
from musedance.evaluation.scored import Scored
from musedance.evaluation.tools import Tools
from musedance.metrics.clip_score import clip_similarity
from musedance.metrics.consistency import (
    colour_distances,
    drift,
    flicker,
    identity_distances,
    per_second,
    seam_jump,
)
from musedance.metrics.flow import flow_magnitudes
from musedance.metrics.fvd import fvd_features
from musedance.metrics.handcrafted import handcrafted_features
from musedance.metrics.image_quality import Mode, psnr, ssim
from musedance.metrics.kinematics import LEAST_FLOW, LEAST_JOINT_SPEED, joint_speed
from musedance.report.catalog import MEASURES

BeatsFrom = Literal["flow", "pose", "keypoints"]
NO_SEAMS = "not computed: --segment-frames would say where the seams are"


@dataclass(frozen=True)
class Scorer:
    """Scores videos one by one.

    Attributes:
        tools: networks.
        segment_frames: K, after how many frames the next segment begins; `None` = not known.
        beats_from: what tells how the dancer moves: optical flow, a pose model, or the keypoints that come with videos.
        music_only: leave out all but how motion and music go together.

    Raises:
        InputError: `beats_from` is none of these, or needs a pose model that is not there.
    """

    tools: Tools
    segment_frames: int | None = None
    beats_from: BeatsFrom = "flow"
    music_only: bool = False

    def __post_init__(self) -> None:
        if self.beats_from not in get_args(BeatsFrom):
            raise InputError(
                f"kinematic beats come from {', '.join(get_args(BeatsFrom))}, not from {self.beats_from!r}"
            )
        if self.beats_from == "pose" and self.tools.pose is None:
            raise InputError("kinematic beats from a pose model need --pose-model, a folder or hub id of ViTPose")

    @property
    def key(self) -> str:
        """What scores depend on beside the videos."""
        return repr((self.segment_frames, self.beats_from, self.music_only, sorted(self.tools.files.items())))

    def score(self, video: Footage, facts: Facts, true: Footage | str, reference: np.ndarray) -> Scored:
        """Score a video.

        Args:
            video: the one to score.
            facts: what is known of it.
            true: its true video, or why there is none.
            reference: the picture that dances, `(H, W, 3)` uint8.

        Raises:
            InputError: nothing of it can be scored.
        """
        if len(video.frames) < 2:
            raise InputError("the video has a single frame")
        scored = Scored(video.fps, len(video.frames))
        if not self.music_only:
            scored.reasons |= self.tools.missing
            self._score_images(scored, video, true)
            self._add_features(scored, video)
            self._score_consistency(scored, video, reference)
        self._score_music(scored, video, facts, true)
        return scored

    def _score_images(self, scored: Scored, video: Footage, true: Footage | str) -> None:
        """Frame by frame against the true video; means over the frames."""
        problem = true if isinstance(true, str) else unlike(video, true)
        if problem or isinstance(true, str):
            pairwise = [name for name, measure in MEASURES.items() if measure.pairwise]
            scored.reasons |= {name: problem for name in pairwise if name not in scored.reasons}
            return
        for mode in get_args(Mode):
            compare: dict[str, Callable[..., np.ndarray]] = {"psnr": psnr, "ssim": ssim}
            if network := self.tools.lpips.get(mode):
                compare["lpips"] = network.distances
            for name, compute in compare.items():
                try:
                    scored.put(f"{name}_{mode}", compute(video.frames, true.frames, mode).mean())
                except InputError as error:  # too small for it
                    scored.reasons[f"{name}_{mode}"] = f"undefined: {error}"

    def _add_features(self, scored: Scored, video: Footage) -> None:
        """What distances between whole sets are computed of."""
        compute: dict[str, Callable[[], np.ndarray]] = {"hfd": lambda: handcrafted_features(video.frames, video.fps)}
        if (i3d := self.tools.i3d) is not None:
            for mode in get_args(Mode):
                compute[f"fvd_{mode}"] = partial(fvd_features, i3d, video.frames, mode, self.tools.device)
        for name, features in compute.items():
            try:
                scored.features[name] = features()
            except InputError as error:  # too short for it
                scored.reasons[name] = f"undefined: {error}"

    def _score_consistency(self, scored: Scored, video: Footage, reference: np.ndarray) -> None:
        """Against the picture that dances, and of the video in itself."""
        frames = video.frames
        values = {
            "identity": identity_distances(frames, reference),
            "colour": colour_distances(frames, reference),
        }
        for name in ("identity", "colour"):
            scored.put(name, values[name].mean())
            scored.put(f"{name}_drift", drift(values[name], video.fps), "too few frames")
        if self.tools.clip is not None:
            shown, embeddings = self.tools.clip.embed(reference[None])[0], self.tools.clip.embed(frames)
            values["clip_identity"] = clip_similarity(embeddings, shown)
            scored.put("clip_identity", values["clip_identity"].mean())
            scored.features["clip"] = embeddings.mean(axis=0)
        values["change"] = np.abs(np.diff(frames.astype(np.int16), axis=0)).mean(axis=(1, 2, 3)) / 255
        if network := self.tools.lpips.get("standard"):
            with suppress(InputError):  # too small for it
                values["lpips_change"] = network.distances(frames[1:], frames[:-1], "standard")
        for name, of_frames in values.items():
            times, means = per_second(of_frames, video.fps)
            scored.curves[name] = (times.tolist(), means.tolist())
        scored.put("flicker", flicker(frames), "fewer than three frames")
        if self.segment_frames is None:
            scored.reasons["seam_jump"] = NO_SEAMS
        else:
            jump = seam_jump(frames, self.segment_frames)
            scored.put("seam_jump", jump, "no seam between segments, or nothing moves")

    def _score_music(self, scored: Scored, video: Footage, facts: Facts, true: Footage | str) -> None:
        flow = flow_magnitudes(video.frames, video.fps)
        if not self.music_only:
            scored.put("motion", flow.mean())
        speed = self._speed(video, flow)
        times = (np.arange(len(speed)) + 0.5) / video.fps
        scored.speed = (times.round(4).tolist(), speed.round(5).tolist())
        of_music = [name for name, about in MEASURES.items() if about.family == "music"]
        if self.music_only:
            of_music.remove("cs")  # which sees pictures, not motion
        sound = sound_of(video, true)
        if sound is None:
            scored.reasons |= dict.fromkeys(of_music, "undefined: the video has no sound")
            return
        least = LEAST_FLOW if self.beats_from == "flow" else LEAST_JOINT_SPEED
        add_events(scored, speed, flow, sound, facts, least)
        if "clip" in scored.features and self.tools.wav2clip is not None:
            try:
                mono = sound.mono(sound.sampling_rate)
                scored.features["wav2clip"] = self.tools.wav2clip.embed(mono, sound.sampling_rate)
            except InputError as error:  # silence, say
                scored.reasons["cs"] = f"undefined: {error}"
        for measure in of_music:
            if measure not in scored.reasons:
                scored.put(measure, aligned(measure, scored, scored), why_undefined(measure, scored))

    def _speed(self, video: Footage, flow: np.ndarray) -> np.ndarray:
        """Of the motion between neighbouring frames, `(n - 1,)` in frame heights a second."""
        if self.beats_from == "flow":
            return flow
        if self.beats_from == "pose":
            assert self.tools.pose is not None  # seen to at the start
            return joint_speed(*self.tools.pose.joints(video.frames), video.fps, video.frames.shape[1])
        if video.joints is None or video.visible is None:
            raise InputError("there are no keypoints with the video")
        return joint_speed(video.joints, video.visible, video.fps, video.height)


def unlike(video: Footage, true: Footage) -> str:
    """Why a video cannot be compared with its true video frame by frame; empty if it can."""
    if video.frames.shape[1:3] != true.frames.shape[1:3]:
        (height, width), (true_height, true_width) = video.frames.shape[1:3], true.frames.shape[1:3]
        return f"it has {width} x {height} pixels, the true video {true_width} x {true_height}"
    if abs(video.fps - true.fps) > 1e-2:
        return f"it has {video.fps:.2f} frames per second, the true video {true.fps:.2f}"
    if len(video.frames) != len(true.frames):
        return f"it has {len(video.frames)} frames, the true video {len(true.frames)}"
    return ""
