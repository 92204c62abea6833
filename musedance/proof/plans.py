"""Which takes each claim of the card rests on."""

from collections.abc import Sequence

import numpy as np

from musedance.datasets.clip import Clip
from musedance.datasets.page import spread
from musedance.datasets.tempo import tempo
from musedance.datasets.window_text import window_text
from musedance.errors import InputError
from musedance.evaluation.cases import sibling
from musedance.evaluation.footage import DatasetVideos
from musedance.proof.takes import Take
from musedance.puppets.moves import MOVES

LEAST_TEMPO_RATIO = 1.15  # between two tempi that are to lead to other motion; so far from half and double time too


def own_takes(videos: DatasetVideos) -> list[Take]:
    """Every clip with its own music, beats and words; the picture is of another clip of the same source."""
    return [
        Take(f"own_{clip.id}", reference_of(videos, clip), clip.id, clip.id, _text(videos, clip), clip.id)
        for clip in videos.clips.values()
    ]


def other_beats(videos: DatasetVideos, count: int, seed: int = 0) -> list[Take]:
    """Some of the `own_takes` again, with the beats of a clip whose tempo is another; noise and music stay.

    Raises:
        InputError: there is no such clip.
    """
    rng = np.random.default_rng(seed)
    takes = []
    for clip in spread(list(videos.clips.values()), count):
        others = [other for other in videos.clips.values() if _differ(tempo(clip), tempo(other))]
        if not others:
            raise InputError(f"no clip has a tempo that is far enough from that of {clip.id}: more tempi are needed")
        other = others[int(rng.integers(len(others)))]
        own = reference_of(videos, clip)
        takes.append(Take(f"beats_{clip.id}", own, clip.id, other.id, _text(videos, clip), clip.id))
    return takes


def every_move(videos: DatasetVideos, moves: Sequence[str], references: int) -> list[Take]:
    """Each of some pictures with the words for each move; music, beats and noise of a picture stay."""
    return [
        Take(
            f"move_{move}_{clip.id}",
            reference_of(videos, clip),
            clip.id,
            clip.id,
            MOVES[move].phrases[0],
            clip.id,
            asked=move,
        )
        for clip in spread(list(videos.clips.values()), references)
        for move in moves
    ]


def every_genre(videos: DatasetVideos, genres: Sequence[str], references: int, seed: int = 0) -> list[Take]:
    """Each of some clips with music of each genre; picture, words, beats and noise stay.

    Raises:
        InputError: no clip has music of some genre.
    """
    rng = np.random.default_rng(seed)
    played = {name: [c for c in videos.clips.values() if videos.facts(c.id).groups["genre"] == name] for name in genres}
    missing = [name for name, clips in played.items() if not clips]
    if missing:
        raise InputError(f"no clip has music of the genre {', '.join(missing)}, which the recogniser has learned")
    takes = []
    for clip in spread(list(videos.clips.values()), references):
        own, text = reference_of(videos, clip), _text(videos, clip)
        for name in genres:
            music = played[name][int(rng.integers(len(played[name])))]
            takes.append(Take(f"genre_{name}_{clip.id}", own, music.id, clip.id, text, clip.id, asked=name))
    return takes


def reference_of(videos: DatasetVideos, clip: Clip) -> str:
    """The clip whose first frame is the picture: a portrait, or else the next one of the same source.

    Raises:
        InputError: there is none.
    """
    return sibling([*videos.clips.values(), *videos.dataset.portraits(clip.split).values()], clip).id


def _text(videos: DatasetVideos, clip: Clip) -> str:
    return window_text(clip, 0, videos.length(clip.id))


def _differ(one: float | None, other: float | None) -> bool:
    """Whether two tempi are far from each other, also with one of them taken twice or half as fast."""
    if not one or not other:
        return False
    octaves = abs(np.log2(one / other))
    return min(octaves, abs(octaves - 1)) > np.log2(LEAST_TEMPO_RATIO)
