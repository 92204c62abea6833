"""What became of every video: `OUTPUT/report.json`, and lines for people."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from musedance.datasets.clip import SPLITS, Clip
from musedance.files import appearing
from musedance.prepare.records import Record

REPORT = "report.json"
FAILED = ("failed", "error")


def make_report(records: Sequence[Record], clips: Sequence[Clip], duplicates: Mapping[str, str]) -> dict[str, Any]:
    """The report; `docs/prepare.md` describes it.

    Args:
        records: of all videos in the folder, and of those that failed in this run.
        clips: all rows.
        duplicates: names of files with the name of the one whose content they repeat.
    """
    status = Counter(record.status for record in records)
    drops = [{"video": record.name, **drop} for record in records for drop in record.drops]
    bad = [
        {"video": record.name, "status": "skipped" if record.status == "skipped" else "failed"}
        | {"reason": record.reason, "detail": record.detail}
        for record in records
        if record.status != "done"
    ]
    bad += [
        {"video": name, "status": "duplicate", "reason": "duplicate", "detail": f"the same content as {first}"}
        for name, first in duplicates.items()
    ]
    return {
        "videos": {
            "prepared": status["done"],
            "skipped": status["skipped"],
            "failed": sum(status[name] for name in FAILED),
            "duplicates": len(duplicates),
        },
        "shots": sum(record.shots for record in records),
        "clips": len(clips),
        "splits": {split: sum(clip.split == split for clip in clips) for split in SPLITS},
        "tracks": len({clip.track for clip in clips}),
        "reasons": dict(sorted(Counter(entry["reason"] for entry in [*bad, *drops]).items())),
        "bad_videos": sorted(bad, key=lambda entry: entry["video"]),
        "dropped": sorted(drops, key=lambda drop: (drop["video"], drop["start"])),
    }


def write_report(output: Path, report: Mapping[str, Any]) -> None:
    """Write it, unless the same is there already."""
    text = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
    path = output / REPORT
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        with appearing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


def summary(report: Mapping[str, Any]) -> list[str]:
    """The report as lines: one for each bad video, one for what was dropped, one for the whole."""
    lines = [
        f"{entry['video']}: {entry['status']}: {entry['reason']}" + (f" ({entry['detail']})" if entry["detail"] else "")
        for entry in report["bad_videos"]
    ]
    drops = Counter(drop["reason"] for drop in report["dropped"])
    if drops:
        lines.append(
            "dropped shots and clips: " + ", ".join(f"{reason} {count}" for reason, count in drops.most_common())
        )
    videos, splits = report["videos"], report["splits"]
    lines.append(
        f"{report['clips']} clips ({', '.join(f'{name} {count}' for name, count in splits.items())}) of "
        f"{report['tracks']} tracks from {videos['prepared']} videos; {videos['skipped']} skipped, "
        f"{videos['failed']} failed, {videos['duplicates']} duplicates"
    )
    return lines
