"""How a video's motion goes with its music, or with another's."""

from collections.abc import Mapping

import numpy as np

from musedance.conditions.beats import track_beats
from musedance.conditions.music import BEAT_RATE
from musedance.evaluation.footage import Facts, Footage
from musedance.evaluation.scored import Scored
from musedance.media.audio import Audio
from musedance.metrics.alignment import answerable, av_align_2023, av_align_2025, beats_hit, mm_align, mm_align_reverse
from musedance.metrics.clip_score import clip_score
from musedance.metrics.kinematics import kinematic_beats
from musedance.metrics.onsets import flow_peaks, onset_times

MARGIN = 2.0  # s: beats so far before and after a video are kept, since a kinematic beat at its edge may belong to one
ONSET_RATE = 22050  # Hz


def sound_of(video: Footage, true: Footage | str) -> Audio | None:
    """The video's own sound or, if it has none, its true video's."""
    if video.sound is not None or isinstance(true, str):
        return video.sound
    return true.sound


def add_events(scored: Scored, speed: np.ndarray, flow: np.ndarray, sound: Audio, facts: Facts, least: float) -> None:
    """Note when the music has beats and onsets, and when the motion rests and peaks.

    Args:
        scored: gets the events.
        speed: `(n - 1,)`, frame heights a second.
        flow: the same, of the optical flow.
        sound: of the video.
        facts: whose beats are taken if they are known; else librosa looks for them.
        least: see `kinematic_beats`.
    """
    beats = facts.beats
    if beats is None:
        beats = tuple(track_beats(sound.mono(BEAT_RATE), BEAT_RATE))
    found = {
        "music": np.array([beat for beat in beats if -MARGIN <= beat < scored.seconds + MARGIN]),
        "onsets": onset_times(sound.mono(ONSET_RATE), ONSET_RATE),
        "kinematic": kinematic_beats(speed, scored.fps, least),
        "flow peaks": flow_peaks(flow, scored.fps),
    }
    scored.events = {kind: [round(float(time), 5) for time in times] for kind, times in found.items()}


def aligned(measure: str, motion: Scored, music: Scored, late: float = 0.0) -> float | None:
    """A score of alignment of one video's motion with one video's music, over the length that both have.

    Args:
        measure: one of the catalog's family "music".
        motion: whose "kinematic" beats or "flow peaks".
        music: whose "music" beats or "onsets".
        late: seconds by which the music is delayed.

    Returns:
        `None` if it is undefined.
    """
    if measure == "cs":
        if "clip" not in motion.features or "wav2clip" not in music.features:
            return None
        return clip_score(motion.features["clip"][None], music.features["wav2clip"])
    if not motion.events or not music.events:
        return None
    end = min(motion.seconds, music.seconds)
    moved, peaks = (_before(motion.events, kind, end) for kind in ("kinematic", "flow peaks"))
    beats, onsets = (np.array(music.events[kind]) + late for kind in ("music", "onsets"))
    onsets = onsets[(onsets >= 0) & (onsets < end)]
    asked = answerable(beats, round(end * motion.fps), motion.fps)
    if measure == "mm_align":
        return mm_align(moved, beats)
    if measure == "mm_align_reverse":
        return mm_align_reverse(moved, asked)
    if measure == "beats_hit":
        return beats_hit(moved, asked)
    return {"av_align_2025": av_align_2025, "av_align_2023": av_align_2023}[measure](onsets, peaks, motion.fps)


def why_undefined(measure: str, scored: Scored) -> str:
    """What is missing for a score of alignment."""
    motion, music = ("flow peaks", "onsets") if measure.startswith("av_align") else ("kinematic", "music")
    names = {"kinematic": "kinematic beats", "music": "music beats"}
    absent = [names.get(kind, kind) for kind in (motion, music) if not scored.events.get(kind)]
    return f"no {' and no '.join(absent)}" if absent else "no music beats that the video could answer"


def _before(events: Mapping[str, list[float]], kind: str, end: float) -> np.ndarray:
    times = np.array(events[kind])
    return times[times < end]
