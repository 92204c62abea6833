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
NEARLY = 0.85  # of the highest peak's height


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
        """Share of the beats, its own or others, at which the motion rests: none of what stands still."""
        asked = answerable(self.beats if beats is None else beats, self.num_frames, self.fps)
        return 0.0 if len(asked) and not len(self.rests) else beats_hit(self.rests, asked)


def rhythm_of(frames: np.ndarray, fps: float, beats: np.ndarray, track: str, first: int = 0) -> Rhythm:
    """Look at a video `(n, H, W, 3)` uint8, from frame `first` on, with beats in s from the video's start."""
    frames, beats = frames[first:], np.asarray(beats) - first / fps
    speed = flow_magnitudes(frames, fps)
    return Rhythm(kinematic_beats(speed, fps, LEAST_FLOW), motion_period(speed, fps), beats, track, len(frames), fps)


def motion_period(speed: np.ndarray, fps: float) -> float:
    """The lag at which a speed curve is most like itself, in s, folded into one octave; NaN of what stands still.

    The shortest lag, of up to two beats, at which the autocorrelation has a peak nearly as high as its highest (McLeod
    and Wyvill 2005, "A smarter way to find pitch"): three times a period, which no folding undoes, may peak higher by a
    hair. A parabola through a peak and its neighbours says where it is and how high.

    Args:
        speed: `(n - 1,)`, frame heights a second, from `flow_magnitudes`.
        fps: frames per second.
    """
    smooth = gaussian_filter1d(speed.astype(np.float64), SMOOTHING * fps, mode="nearest")
    if np.ptp(smooth) < LEAST_FLOW:
        return float("nan")
    smooth -= smooth.mean()
    lags = np.arange(int(0.3 * fps), min(int(1.7 * fps), len(smooth) - 4))
    curve = np.array([_likeness(smooth[lag:], smooth[:-lag]) for lag in lags])
    peaks: list[tuple[float, float]] = []  # (lag in frames, height)
    for k in range(1, len(curve) - 1):
        before, at, after = curve[k - 1 : k + 2]
        if before <= at > after:
            aside = 0.5 * (before - after) / (before - 2 * at + after)
            peaks.append((lags[k] + aside, at - 0.25 * (before - after) * aside))
    if not peaks:
        return float("nan")
    highest = max(height for _, height in peaks)
    first = next(lag for lag, height in peaks if height >= min(NEARLY * highest, highest))
    return folded(first / fps)


def folded(period: float) -> float:
    """A period with its octave left out: doubled or halved until it lies in [OCTAVE, 2 OCTAVE)."""
    return float(OCTAVE * 2 ** (np.log2(period / OCTAVE) % 1))


def beat_findings(made: Sequence[Rhythm], true: Sequence[Rhythm]) -> list[Finding]:
    """Lifts of the share of beats hit, over other music and over the same music half a beat late."""
    hits, known_hits = (np.array([r.hit() for r in rhythms], np.float64) for rhythms in (made, true))
    findings = [mean_finding("beat", "beats hit", hits, [r.track for r in made], truth=float(np.nanmean(known_hits)))]
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
    """Spearman correlation of the motion's period with the music's, octaves left out; the interval resamples tracks."""
    (pairs, tracks), (known, _) = _periods(made), _periods(true)
    interval = _interval(pairs, tracks)
    return Finding(
        "tempo", "rank correlation of periods", _spearman(pairs), interval, len(pairs), least, _spearman(known)
    )


def _periods(rhythms: Sequence[Rhythm]) -> tuple[np.ndarray, list[str]]:
    """`(n, 2)`, of motion and music, folded, where both are known; and the tracks."""
    kept = [r for r in rhythms if np.isfinite(r.period) and len(r.beats) > 1]
    pairs = [(r.period, folded(2 * (half_a_beat(r.beats) or np.nan))) for r in kept]
    return np.array(pairs).reshape(-1, 2), [r.track for r in kept]


def _interval(pairs: np.ndarray, tracks: Sequence[str], draws: int = 2000) -> tuple[float, float]:
    """Percentile bootstrap over tracks; NaN where there is no correlation."""
    rows = [np.flatnonzero(np.array(tracks) == track) for track in sorted(set(tracks))]
    rng = np.random.default_rng(0)
    values = [
        _spearman(pairs[np.concatenate([rows[i] for i in rng.integers(len(rows), size=len(rows))])])
        for _ in range(draws if rows else 0)
    ]
    known = np.array(values)[np.isfinite(values)]
    low, high = np.quantile(known, [0.025, 0.975]) if len(known) else (np.nan, np.nan)
    return float(low), float(high)


def _spearman(pairs: np.ndarray) -> float:
    """Of `(n, 2)`; NaN where one of both is always the same."""
    return float(spearmanr(*pairs.T).statistic) if len(pairs) and np.ptp(pairs, axis=0).all() else float("nan")


def _likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Cosine of the angle between two pieces of a curve; 0 if one of them is 0."""
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / lengths if lengths else 0.0


def _difference(one: float | None, other: float | None) -> float:
    return float("nan") if one is None or other is None else one - other
