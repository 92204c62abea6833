"""Beat and tempo: whether motion rests when the music has its beats, and follows them when they are others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.stats import spearmanr

from musedance.metrics.alignment import answerable, beats_hit
from musedance.metrics.flow import flow_magnitudes
from musedance.metrics.kinematics import LEAST_FLOW, SMOOTHING, kinematic_beats
from musedance.metrics.nulls import NullScore, half_a_beat, half_a_beat_late, other_music, score_matrix
from musedance.proof.finding import Finding, mean_finding

OCTAVE = 0.405  # s: periods are folded into [OCTAVE, 2 OCTAVE), which holds 75 to 148 BPM


@dataclass(frozen=True)
class Rhythm:
    """What a video and its music do in time.

    Attributes:
        rests: kinematic beats by optical flow, s.
        period: of the motion, folded into one octave, s; NaN if it has none.
        beats: of the music, s, also before and after the video.
        track: videos of one track are not independent.
        num_frames: of the video.
        fps: frames per second.
    """

    rests: np.ndarray
    period: float
    beats: np.ndarray
    track: str
    num_frames: int
    fps: float

    def hit(self, beats: np.ndarray | None = None) -> float | None:
        """Share of the beats, its own or others, at which the motion rests."""
        asked = answerable(self.beats if beats is None else beats, self.num_frames, self.fps)
        return beats_hit(self.rests, asked)


def rhythm_of(frames: np.ndarray, fps: float, beats: np.ndarray, track: str) -> Rhythm:
    """Look at a video `(n, H, W, 3)` uint8."""
    speed = flow_magnitudes(frames, fps)
    return Rhythm(
        kinematic_beats(speed, fps, LEAST_FLOW), motion_period(speed, fps), np.asarray(beats), track, len(frames), fps
    )


def motion_period(speed: np.ndarray, fps: float) -> float:
    """The lag at which a speed curve is most like itself, in s, folded into one octave; NaN of what stands still.

    The highest peak of the autocorrelation among lags of a beat or two, with a parabola through its neighbours.
    """
    smooth = gaussian_filter1d(speed.astype(np.float64), SMOOTHING * fps, mode="nearest")
    smooth -= smooth.mean()
    lags = np.arange(int(0.3 * fps), min(int(1.7 * fps), len(smooth) - 4))
    overlap = [smooth[lag:] @ smooth[:-lag] / np.sqrt(smooth[lag:] @ smooth[lag:] * (smooth[:-lag] @ smooth[:-lag]))
               if smooth[lag:].any() and smooth[:-lag].any() else 0.0 for lag in lags]  # fmt: skip
    curve = np.array(overlap)
    peaks = [k for k in range(1, len(curve) - 1) if curve[k] >= curve[k - 1] and curve[k] > curve[k + 1]]
    if not peaks:
        return float("nan")
    best = max(peaks, key=lambda k: curve[k])
    before, at, after = curve[best - 1 : best + 2]
    bend = before - 2 * at + after
    return folded((lags[best] + (0.5 * (before - after) / bend if bend < 0 else 0.0)) / fps)


def folded(period: float) -> float:
    """A period with its octave left out: doubled or halved until it lies in [OCTAVE, 2 OCTAVE)."""
    return float(OCTAVE * 2 ** (np.log2(period / OCTAVE) % 1))


def beat_findings(made: Sequence[Rhythm], true: Sequence[Rhythm]) -> list[Finding]:
    """Lifts of the share of beats hit, over other music and over the same music half a beat late."""
    share, truth = (float(np.nanmean(np.array([r.hit() for r in rhythms], np.float64))) for rhythms in (made, true))
    findings = [Finding("beat", "beats hit", share, None, len(made), truth=truth)]
    for what, lift in (("other music", _over_other_music), ("the same music half a beat late", _over_late_music)):
        null, known = lift(made), lift(true)
        if null is not None and known is not None:
            name = f"beats hit, lift over {what}"
            findings.append(Finding("beat", name, null.lift, null.interval, null.n, 0.0, known.lift))
    return findings


def _over_other_music(rhythms: Sequence[Rhythm]) -> NullScore | None:
    matrix = score_matrix([r.beats for r in rhythms], lambda video, beats: rhythms[video].hit(beats))
    return other_music(matrix, [r.track for r in rhythms])


def _over_late_music(rhythms: Sequence[Rhythm]) -> NullScore | None:
    late = [r.hit(r.beats + (half_a_beat(r.beats) or np.nan)) for r in rhythms]
    return half_a_beat_late([r.hit() for r in rhythms], late, [r.track for r in rhythms])


def swapped_findings(own: Mapping[str, Rhythm], swapped: Mapping[str, Rhythm]) -> list[Finding]:
    """Videos of the same picture, music, words and noise with other beats: whose beats does the motion hit?

    Args:
        own: by clip, with its own beats.
        swapped: by clip, with the beats of another one.
    """
    names = [name for name in swapped if name in own]
    tracks = [own[name].track for name in names]
    follows, moved = [], []
    for name in names:
        old, new = own[name].beats, swapped[name].beats
        follows.append(_difference(swapped[name].hit(new), swapped[name].hit(old)))
        moved.append(_difference(swapped[name].hit(new), own[name].hit(new)))
    return [
        mean_finding(
            "beat", "beats swapped: new beats hit minus the music's own", np.array(follows), tracks, least=0.0
        ),
        mean_finding("beat", "new beats hit, after the swap minus before", np.array(moved), tracks, least=0.0),
    ]


def tempo_finding(made: Sequence[Rhythm], true: Sequence[Rhythm], least: float) -> Finding:
    """Spearman correlation of the motion's period with the music's, octaves left out."""
    value, interval, n = _rank_correlation(made)
    return Finding("tempo", "rank correlation of periods", value, interval, n, least, _rank_correlation(true)[0])


def _rank_correlation(rhythms: Sequence[Rhythm], draws: int = 2000) -> tuple[float, tuple[float, float], int]:
    """With an interval over resampled tracks."""
    kept = [r for r in rhythms if np.isfinite(r.period) and len(r.beats) > 1]
    pairs = np.array([(r.period, folded(2 * (half_a_beat(r.beats) or np.nan))) for r in kept])
    names = {track: [i for i, r in enumerate(kept) if r.track == track] for track in {r.track for r in kept}}
    rng, tracks = np.random.default_rng(0), sorted(names)
    values = []
    for _ in range(draws):
        rows = np.concatenate([names[tracks[int(i)]] for i in rng.integers(len(tracks), size=len(tracks))])
        values.append(spearmanr(*pairs[rows].T).statistic)
    low, high = np.nanquantile(values, [0.025, 0.975])
    return float(spearmanr(*pairs.T).statistic), (float(low), float(high)), len(kept)


def _difference(one: float | None, other: float | None) -> float:
    return float("nan") if one is None or other is None else one - other
