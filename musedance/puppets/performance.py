"""One source of the built-in world: a dancer on a stage, a track and a choreography, from a seed and a number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from musedance.errors import InputError
from musedance.puppets.backgrounds import BACKGROUNDS
from musedance.puppets.choreography import Choreography
from musedance.puppets.compose import BPM_RANGE, compose
from musedance.puppets.genres import GENRES
from musedance.puppets.moves import MOVES
from musedance.puppets.scene import KINDS, Scene
from musedance.puppets.track import Track

CLIPS_PER_SOURCE = 4  # so that a reference picture can come from another clip of the same source
SIDES, SIDE_MULTIPLE = (64, 1024), 8  # pixels
FPS_RANGE, FRAMES_RANGE = (4.0, 60.0), (2, 600)
LONGEST_CLIP = 60.0  # s
JITTER = 1.0  # s by which clips begin later than they might
PAUSE = 2.0  # s between two clips at least: enough for the nearest beat and the blend from move to move after it
MAX_SEED = 2**63 - 1


@dataclass(frozen=True)
class World:
    """What a dataset of puppets is like. Source k of a world is the same whatever else is made of it.

    Attributes:
        seed: 0 to 2^63 - 1.
        width: pixels, 64 to 1024, a multiple of 8.
        height: pixels, likewise.
        fps: frames per second, 4 to 60.
        num_frames: of a clip, 2 to 600 and at most a minute.
        moves_per_clip: about how many moves a clip shows, 1 to 8; with 1 exactly one, another in the next clip.
        kinds: which of `KINDS` dance, each as often; all if not given, people half of the time.
        backgrounds: which of `BACKGROUNDS` are behind them; all if not given.
        moves: which of `MOVES` are danced; all if not given. In breaks of the music dancers freeze all the same.
        genres: which of `GENRES` are played; all if not given.
        bpm: the slowest and the fastest tempo, 70 to 160, the same for all genres; what is usual in each if not given.
        portraits: whether each source has a portrait of its dancer, standing at ease, beside its clips.

    Raises:
        InputError: a value is out of range.
    """

    seed: int = 0
    width: int = 128
    height: int = 128
    fps: float = 12
    num_frames: int = 50
    moves_per_clip: int = 2
    kinds: tuple[str, ...] | None = None
    backgrounds: tuple[str, ...] | None = None
    moves: tuple[str, ...] | None = None
    genres: tuple[str, ...] | None = None
    bpm: tuple[float, float] | None = None
    portraits: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.seed <= MAX_SEED:
            raise InputError(f"the seed has to lie between 0 and 2^63 - 1, not {self.seed}")
        for side in (self.width, self.height):
            if not SIDES[0] <= side <= SIDES[1] or side % SIDE_MULTIPLE:
                raise InputError(
                    f"size {self.width}x{self.height} cannot be drawn: both sides have to be multiples of "
                    f"{SIDE_MULTIPLE} from {SIDES[0]} to {SIDES[1]}"
                )
        if not FPS_RANGE[0] <= self.fps <= FPS_RANGE[1]:
            raise InputError(f"fps has to lie between {FPS_RANGE[0]:g} and {FPS_RANGE[1]:g}, not {self.fps}")
        if not FRAMES_RANGE[0] <= self.num_frames <= FRAMES_RANGE[1] or self.clip_seconds > LONGEST_CLIP:
            raise InputError(
                f"a clip has {FRAMES_RANGE[0]} to {FRAMES_RANGE[1]} frames and lasts at most {LONGEST_CLIP:g} s, "
                f"not {self.num_frames} frames at {self.fps:g} per second"
            )
        if not 1 <= self.moves_per_clip <= 8:
            raise InputError(f"a clip has 1 to 8 moves, not {self.moves_per_clip}")
        for what, chosen, possible in (
            ("dancer of kind", self.kinds, KINDS),
            ("background", self.backgrounds, BACKGROUNDS),
            ("move", self.moves, MOVES),
            ("genre", self.genres, GENRES),
        ):
            unknown = sorted(set(chosen or ()) - set(possible))
            if unknown or chosen == ():
                raise InputError(f"there is no {what} {', '.join(unknown)!r}; possible: {', '.join(possible)}")
        if self.bpm is not None and not BPM_RANGE[0] <= self.bpm[0] <= self.bpm[1] <= BPM_RANGE[1]:
            raise InputError(f"tempi have to lie between {BPM_RANGE[0]:g} and {BPM_RANGE[1]:g} BPM, not {self.bpm}")

    @property
    def clip_seconds(self) -> float:
        """Length of a clip."""
        return self.num_frames / self.fps


@dataclass(frozen=True)
class Performance:
    """A whole source. The video it stands for begins with the track and has `world.fps` frames a second.

    Attributes:
        starts: the first frame of each clip, counted in frames of the source.
    """

    world: World
    scene: Scene
    track: Track
    choreography: Choreography
    starts: tuple[int, ...]


def perform(world: World, index: int) -> Performance:
    """Source number `index` of a world."""
    # A stream each, so that a change in how one is drawn leaves the others as they were.
    plan, look, sound, dance = (
        np.random.default_rng(seed) for seed in np.random.SeedSequence((world.seed, index)).spawn(4)
    )
    kind = _any(plan, world.kinds)
    jitter = round(JITTER * world.fps)
    stride = world.num_frames + round(PAUSE * world.fps) + jitter
    starts = tuple(clip * stride + int(plan.integers(jitter + 1)) for clip in range(CLIPS_PER_SOURCE))
    gaps = zip((start + world.num_frames for start in starts), starts[1:], strict=False)
    background, genre = _any(plan, world.backgrounds), _any(plan, world.genres)
    track = compose(
        sound,
        duration=max(CLIPS_PER_SOURCE * stride / world.fps, 4.0),
        genre=genre,
        bpm=None if world.bpm is None else round(plan.uniform(*world.bpm), 1),
    )
    return Performance(
        world=world,
        scene=Scene.random(look, height=world.height, width=world.width, kind=kind, background=background),
        track=track,
        choreography=Choreography.compose(
            track,
            dance,
            moves_per_clip=world.moves_per_clip,
            clip_duration=world.clip_seconds,
            moves=world.moves,
            changes=[sum(gap) / 2 / world.fps for gap in gaps],
        ),
        starts=starts,
    )


def _any(rng: np.random.Generator, names: tuple[str, ...] | None) -> str | None:
    """One of the names; none if none are given, and then nothing is drawn."""
    return None if names is None else names[int(rng.integers(len(names)))]
