"""Which held-out clips a run is validated on, and what the pipeline is given of them."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from musedance.datasets.clip import Clip
from musedance.datasets.folder import Dataset
from musedance.datasets.reader import FileReader, read_sound
from musedance.datasets.spec import ClipSpec
from musedance.datasets.tempo import tempo
from musedance.datasets.window_text import window_text
from musedance.errors import InputError
from musedance.media.audio import Audio
from musedance.media.video import Backend

SPLIT = "validation"
SILENCE_RATE = 16_000  # Hz


@dataclass(frozen=True)
class Example:
    """A held-out clip as the pipeline is given it, and what it is compared with.

    Attributes:
        reference: the clip's first frame, or its dancer's portrait, on the clip's canvas.
        densepose: that frame's DensePose picture; stage 1 only, `None` if the clip has none.
        sound: the whole clip's; silence in stage 1, which does not hear it.
        bpm: of the whole track, where to look for the excerpt's tempo; `None` if the row does not tell.
        prompt: what the true frames show.
        frames: the true frames, `(n, H, W, 3)` uint8 RGB.
        times: when they are, seconds from the reference.
    """

    reference: Image.Image
    densepose: Image.Image | None
    sound: Audio
    bpm: float | None
    prompt: str
    frames: np.ndarray
    times: list[float]


class HeldOutClips:
    """A few clips of the validation split, the same ones throughout a run, spread evenly over the split.

    The reference is the dancer's portrait, or else the clip's first frame. In stage 2 the true frames are the first K,
    so that each video begins as the dancer of the first frame stands. In stage 1 the true frame is the one half a
    second later: the mean distance of the two frames of a training pair at the paper's window of one second.

    Args:
        dataset: from `open_dataset`.
        spec: canvas, frame rate and K.
        stage: 1 or 2.
        count: how many; fewer if the split has fewer that are long enough.
        backend: what decodes the frames.

    Raises:
        InputError: a clip has another frame rate than the model.
    """

    def __init__(self, dataset: Dataset, spec: ClipSpec, *, stage: int, count: int, backend: Backend = "pyav") -> None:
        self.spec, self.stage = spec, stage
        self.numbers = [round(spec.fps / 2)] if stage == 1 else list(range(spec.num_frames))  # the true frames
        self._reader = FileReader(dataset, spec, backend=backend)
        self._portraits = dataset.portraits(SPLIT)
        found = [clip for clip in dataset.dances(SPLIT) if clip.num_frames > self.numbers[-1]]
        count = min(count, len(found))
        self.clips = [found[place * len(found) // count] for place in range(count)]
        for clip in self.clips:
            if abs(clip.fps - spec.fps) > 1e-3:
                raise InputError(
                    f"clip {clip.id} has {clip.fps:g} frames per second, the model {spec.fps:g}: "
                    f"prepare the dataset for this model"
                )

    def read(self, clip: Clip) -> Example:
        """Read a clip from its files.

        Raises:
            UnreadableClip: it cannot be read.
        """
        shown = self._portraits.get(clip.source, clip)
        frames = self._reader.pictures(clip, self.numbers).numpy()
        densepose = self._reader.densepose(shown, 0) if self.stage == 1 else None
        # As long as its frames are, so that nothing is left for the pipeline to find fault with.
        sound = self._silence() if self.stage == 1 else read_sound(self._reader.dataset, clip).cut(0, clip.duration)
        return Example(
            reference=Image.fromarray(self._reader.pictures(shown, [0]).numpy()[0]),
            densepose=None if densepose is None else Image.fromarray(densepose.numpy()),
            sound=sound,
            bpm=tempo(clip),
            prompt=window_text(clip, self.numbers[0], len(self.numbers)),
            frames=frames,
            times=[number / self.spec.fps for number in self.numbers],
        )

    def stand_in(self, clip: Clip) -> Example:
        """What to generate in the place of a clip that cannot be read, so that all ranks make the same calls."""
        height, width = self.spec.canvas(clip)
        black = Image.new("RGB", (width, height))
        times = [number / self.spec.fps for number in self.numbers]
        return Example(black, None, self._silence(), None, "", np.stack([np.asarray(black)] * len(times)), times)

    def _silence(self) -> Audio:
        samples = round(self.spec.num_frames / self.spec.fps * SILENCE_RATE)
        return Audio(np.zeros((1, samples), np.float32), SILENCE_RATE)
