"""What is kept of a video that was measured, and its file."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from musedance.files import appearing
from musedance.report.results import plain

Points = tuple[list[float], list[float]]  # times and values of a curve


@dataclass
class Scored:
    """What is kept of a video.

    Attributes:
        fps: frames per second.
        num_frames: n.
        scores: by measure; those without a value are in `reasons`.
        reasons: why there is no value, by measure.
        events: seconds, by kind: "music", "kinematic", "onsets", "flow peaks". Those of music reach beyond the video.
        speed: of the motion, frame heights a second.
        curves: over time, by name.
        features: for distances between sets: "fvd_standard", "hfd", ...; for CS "clip" and "wav2clip".
    """

    fps: float
    num_frames: int
    scores: dict[str, float] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    events: dict[str, list[float]] = field(default_factory=dict)
    speed: Points = field(default_factory=lambda: ([], []))
    curves: dict[str, Points] = field(default_factory=dict)
    features: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Length."""
        return self.num_frames / self.fps

    def put(self, measure: str, value: float | None, reason: str = "") -> None:
        """Note a score, or why it is undefined."""
        if value is None:
            self.reasons[measure] = f"undefined: {reason}"
        else:
            self.scores[measure] = float(value)

    def save(self, path: Path, key: str) -> None:
        """Write `path` (JSON) and the features beside it; `key` says what was measured and how."""
        features = {name: np.ascontiguousarray(values, np.float32) for name, values in self.features.items()}
        with appearing(path.with_suffix(".safetensors")) as temporary:
            save_file(features, temporary)
        content = {name: value for name, value in asdict(self).items() if name != "features"}
        with appearing(path) as temporary:
            temporary.write_text(json.dumps(plain({"key": key, **content}), allow_nan=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path, key: str) -> "Scored | None":
        """What was saved; `None` if there is nothing of this key."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["key"] != key:
                return None
            scored = cls(**{name: value for name, value in content.items() if name != "key"})
            scored.features = load_file(path.with_suffix(".safetensors"))
        except (OSError, ValueError, KeyError, TypeError, SafetensorError):
            return None
        scored.scores = {name: float(value) for name, value in scored.scores.items()}  # "inf"
        return scored
