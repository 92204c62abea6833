"""How much two sets of videos differ in a score, and how sure that is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import ttest_ind

from musedance.metrics.bootstrap import LEVEL, mean_interval
from musedance.report.cells import with_interval
from musedance.report.markup import with_sign
from musedance.report.results import Interval, VideoRow

# Without any effect all of k tracks fall on one side of 0 with a chance of 2 / 2^k, and then a bootstrap's interval
# leaves out 0: below 5 % from 6 tracks on. With two it is a coin's toss.
LEAST_TRACKS = 6
TOO_FEW = f"too few tracks to tell ({LEAST_TRACKS} would do)"


@dataclass(frozen=True)
class Difference:
    """Of two means.

    Attributes:
        value: the one minus the other.
        interval: 95 %; `None` with fewer than two tracks.
        n: videos or tracks that it rests on.
        tracks: how many of these.
    """

    value: float
    interval: Interval | None
    n: int
    tracks: int

    @property
    def sign(self) -> int | None:
        """1, -1, or 0 where the interval leaves doubt; `None` where there are too few tracks to say anything."""
        return sign_of(self.interval, self.tracks)

    def text(self, usual_n: int | None = None) -> str:
        """ "+0.05 [0.01, 0.09], n = 12"; without n if it is the usual one."""
        return with_interval(with_sign, self.value, self.interval, self.n, usual_n)


def sign_of(interval: Interval | None, tracks: int, null: float = 0.0) -> int | None:
    """On which side of a value an interval over tracks lies.

    Args:
        interval: 95 %.
        tracks: that it rests on.
        null: the value.

    Returns:
        1 above, -1 below, 0 where it holds the value; `None` where there are too few tracks to say anything.
    """
    if interval is None or tracks < LEAST_TRACKS:
        return None
    return int(interval[0] > null) - int(interval[1] < null)


@dataclass(frozen=True)
class Differences:
    """Finds them, with intervals over tracks: videos to the same music are not independent.

    Attributes:
        tracks: of each video, by id.
        seed: of the bootstrap.
    """

    tracks: Mapping[str, str]
    seed: int = 0

    def by_video(self, one: Iterable[VideoRow], other: Iterable[VideoRow], measure: str) -> Difference | None:
        """Of two versions of the same videos; n: videos that both have a score for. `None` if there are none."""
        a, b = _scores(one, measure), _scores(other, measure)
        differences = {name: a[name] - b[name] for name in a if name in b}
        if not differences:
            return None
        values, tracks = np.array(list(differences.values())), [self.tracks[name] for name in differences]
        interval = mean_interval(values, tracks, self.seed)
        return Difference(float(values.mean()), interval, len(values), len(set(tracks)))

    def by_track(self, one: Iterable[VideoRow], other: Iterable[VideoRow], measure: str) -> Difference | None:
        """Of different videos; n: tracks. `None` if one side has no score.

        Track by track where they share two tracks or more: their means there are compared. Else all means of tracks,
        with Welch's interval (Welch 1947, Biometrika 34).
        """
        a, b = self._means(one, measure), self._means(other, measure)
        if not a or not b:
            return None
        shared = sorted(a.keys() & b.keys())
        if len(shared) > 1:
            values = np.array([a[track] - b[track] for track in shared])
            interval = mean_interval(values, seed=self.seed)
            return Difference(float(values.mean()), interval, len(shared), len(shared))
        means = np.array(list(a.values())), np.array(list(b.values()))
        interval = None
        if min(map(len, means)) > 1 and max(np.ptp(values) for values in means) > 0:
            found = ttest_ind(*means, equal_var=False).confidence_interval(LEVEL)
            interval = float(found.low), float(found.high)
        tracks = len(a.keys() | b.keys())
        return Difference(float(means[0].mean() - means[1].mean()), interval, tracks, tracks)

    def count(self, rows: Iterable[VideoRow]) -> int:
        """How many tracks videos have."""
        return len({self.tracks[row.id] for row in rows})

    def _means(self, rows: Iterable[VideoRow], measure: str) -> dict[str, float]:
        """Of each track."""
        of_track: dict[str, list[float]] = {}
        for name, score in _scores(rows, measure).items():
            of_track.setdefault(self.tracks[name], []).append(score)
        return {track: float(np.mean(scores)) for track, scores in of_track.items()}


def _scores(rows: Iterable[VideoRow], measure: str) -> dict[str, float]:
    """Those that are defined and finite."""
    found = {row.id: row.scores.get(measure) for row in rows}
    return {name: score for name, score in found.items() if score is not None and np.isfinite(score)}
