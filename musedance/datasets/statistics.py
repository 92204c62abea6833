"""A dataset in numbers."""

import itertools
import re
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from musedance.datasets.clip import SPLITS, Clip

TEMPO_STEP = 20  # beats a minute, of the distribution
FREQUENT = 12  # words listed
# Words that say nothing about a dance.
STOP_WORDS = frozenset([
    "a", "an", "and", "are", "as", "at", "back", "be", "both", "by", "do", "does", "down", "for", "from", "he",
    "her", "his", "in", "into", "is", "it", "its", "of", "on", "or", "out", "over", "she", "that", "the",
    "their", "them", "then", "they", "this", "to", "together", "up", "while", "with",
])  # fmt: skip


def statistics_of(clips: Sequence[Clip]) -> dict[str, Any]:
    """Counts, hours, sizes, tempos and captions, ready for JSON.

    `splits` has a table for each split and for `all`; the distributions are over all clips. A track's tempo is 60 over
    the median time between its beats.
    """
    groups = {split: [clip for clip in clips if clip.split == split] for split in SPLITS} | {"all": list(clips)}
    beats = {clip.track: clip.beats for clip in clips if len(clip.beats) > 1}
    tempos = [60 / statistics.median(b - a for a, b in itertools.pairwise(times)) for times in beats.values()]
    words = [len(clip.caption.split()) for clip in clips]
    return {
        "splits": {name: _counts(group) for name, group in groups.items() if group},
        "sizes": _shares(f"{clip.width} x {clip.height}" for clip in clips),
        "fps": _shares(f"{clip.fps:g}" for clip in clips),
        "frames": _spread([clip.num_frames for clip in clips]),
        "tempo": _spread(tempos) | {"tracks_without": len({clip.track for clip in clips} - beats.keys())},
        "tempo_distribution": _histogram(tempos),
        "caption_words": _spread(words) | {"without": words.count(0)},
        "frequent_words": frequent_words(clip.caption for clip in clips),
    }


def frequent_words(captions: Iterable[str]) -> dict[str, int]:
    """The words that most captions have, and how many have them; what says nothing (a, the, ...) is left out."""
    counts: Counter[str] = Counter()
    for caption in captions:
        counts.update(set(re.findall(r"[^\W\d_]+(?:['-][^\W\d_]+)*", caption.lower())) - STOP_WORDS)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:FREQUENT])


def _counts(clips: Sequence[Clip]) -> dict[str, Any]:
    return {
        "clips": len(clips),
        "sources": len({clip.source for clip in clips}),
        "tracks": len({clip.track for clip in clips}),
        "hours": sum(clip.duration for clip in clips) / 3600,
        "densepose": sum(bool(clip.densepose) for clip in clips) / len(clips),
        "timeline": sum(len(clip.timeline) > 1 for clip in clips) / len(clips),
        "truth": sum(bool(clip.truth) for clip in clips) / len(clips),
    }


def _shares(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())


def _spread(values: Sequence[float]) -> dict[str, float | None]:
    if not values:
        return {"min": None, "median": None, "max": None}
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def _histogram(tempos: Iterable[float]) -> dict[str, int]:
    """How many tracks in each step of 20 beats a minute that has any."""
    counts = Counter(int(tempo // TEMPO_STEP) for tempo in tempos)
    return {f"{step * TEMPO_STEP}-{(step + 1) * TEMPO_STEP}": counts[step] for step in sorted(counts)}


def format_statistics(info: Mapping[str, Any], numbers: Mapping[str, Any]) -> str:
    """The same as text for a terminal."""
    lines = [" ".join(str(info.get("name") or "dataset").split()), ""]
    rows = [["", "clips", "sources", "tracks", "hours", "DensePose", "timeline", "truth"]]
    for name, row in numbers["splits"].items():
        counts = [str(row[key]) for key in ("clips", "sources", "tracks")]
        shares = [f"{row[key]:.0%}" for key in ("densepose", "timeline", "truth")]
        rows.append([name, *counts, f"{row['hours']:.3f}", *shares])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join([f"{row[0]:<{widths[0]}}", *cells]))
    for title, key in (("sizes", "sizes"), ("frames per second", "fps"), ("words in captions", "frequent_words")):
        listed = ", ".join(f"{value} ({count})" for value, count in numbers[key].items())
        lines += ["", f"{title}: {listed or 'none'}"]
    lines += ["", f"frames of a clip: {_line(numbers['frames'])}"]
    without = numbers["caption_words"]["without"]
    lines += [f"words of a caption: {_line(numbers['caption_words'])}" + (f", {without} empty" if without else "")]
    without = numbers["tempo"]["tracks_without"]
    lines += [f"beats a minute: {_line(numbers['tempo'])}" + (f", {without} tracks without beats" if without else "")]
    lines += _bars(numbers["tempo_distribution"])
    return "\n".join(lines)


def _line(spread: Mapping[str, float | None]) -> str:
    if spread["median"] is None:
        return "none"
    return f"{spread['min']:.4g} to {spread['max']:.4g}, median {spread['median']:.4g}"


def _bars(counts: Mapping[str, int], width: int = 40) -> list[str]:
    most = max(counts.values(), default=1)
    return [f"  {step:>7}  {count:>5}  {'#' * round(count / most * width)}".rstrip() for step, count in counts.items()]
