"""Clips that cannot be read: skipped, counted and named; too many of them stop the run."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from musedance.datasets.clip import Clip
from musedance.errors import InputError

MAX_FAILURE_SHARE = 0.05


class UnreadableClip(InputError):
    """A clip's files cannot be read."""

    def __init__(self, clip_id: str, reason: str) -> None:
        super().__init__(f"clip {clip_id}: {reason}")
        self.clip_id, self.reason = clip_id, reason


@contextmanager
def reading(clip: Clip) -> Iterator[None]:
    """Whatever is wrong with the files read inside is `UnreadableClip`."""
    try:
        yield
    except UnreadableClip:
        raise
    except (InputError, OSError) as error:
        raise UnreadableClip(clip.id, " ".join(str(error).split())) from error
    except Exception as error:  # decoders raise nearly everything on broken files, and none should end days of training
        reason = f"{type(error).__name__}: {error}"
        raise UnreadableClip(clip.id, " ".join(reason.split())) from error


class FailureLog:
    """Collects failures by clip; each is warned of once.

    Args:
        num_clips: of which they are a share.
        max_share: the largest share that is put up with, 0 to 1.
    """

    def __init__(self, num_clips: int, max_share: float = MAX_FAILURE_SHARE) -> None:
        if not 0 <= max_share <= 1:
            raise InputError(f"the share of clips that may fail has to lie between 0 and 1, not {max_share}")
        self.num_clips, self.max_share = num_clips, max_share
        self.reasons: dict[str, str] = {}

    @property
    def most(self) -> int:
        """How many clips may fail."""
        return int(self.max_share * self.num_clips)

    def add(self, failures: Mapping[str, str]) -> None:
        """Note failures, `{clip id: reason}`.

        Raises:
            InputError: there are too many by now.
        """
        for clip_id, reason in failures.items():
            if clip_id not in self.reasons:
                warnings.warn(f"clip {clip_id} is skipped: {reason}", stacklevel=2)
        self.reasons |= failures
        if len(self.reasons) > self.most:
            raise InputError(
                f"{len(self.reasons)} of {self.num_clips} clips cannot be read, more than {self.max_share:.0%}: "
                f"{summary(self.reasons)}; mend them or take them out of the dataset"
            )


def summary(reasons: Mapping[str, str], shown: int = 5) -> str:
    """The first few, named, with what is wrong."""
    named = [f"{clip_id} ({reason})" for clip_id, reason in list(reasons.items())[:shown]]
    return ", ".join(named + ["..."] * (len(reasons) > shown))
