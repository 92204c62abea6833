"""Sharing work among the processes of `accelerate launch`; in a single process everything is its own."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import gather_object

Entry = TypeVar("Entry")


class Processes:
    """This process among those that were launched together.

    Attributes:
        rank: number of this process.
        count: of all.
    """

    def __init__(self) -> None:
        self._state = PartialState(cpu=not torch.cuda.is_available())
        self.rank, self.count = self._state.process_index, self._state.num_processes

    @property
    def is_main(self) -> bool:
        """Whether this is the one that writes and says what belongs to all."""
        return self.rank == 0

    def device(self, wanted: str) -> str:
        """The device to use: each of several processes has a GPU of its own."""
        return str(self._state.device) if wanted in ("auto", "cuda") and self.count > 1 else wanted

    def wait(self) -> None:
        """Until all processes are here."""
        self._state.wait_for_everyone()

    def share(self, names: Sequence[str]) -> list[str]:
        """Every so-manieth name, so that each process has as many, or one less."""
        return list(names[self.rank :: self.count])

    def together(self, own: Mapping[str, Entry]) -> dict[str, Entry]:
        """What all processes found, in each of them; all have to call this, and wait here for each other."""
        joined: list[tuple[str, Entry]] = gather_object(list(own.items()))
        return dict(sorted(joined))
