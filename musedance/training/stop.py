"""SIGTERM, with which clusters take a machine back: the run finishes its step, saves, and ends well."""

import signal
from types import FrameType, TracebackType

import torch
from accelerate import Accelerator


class StopSignal:
    """Within the context, SIGTERM is a request that the run looks at after each step. Main thread only.

    Further SIGTERMs ask for nothing more, since torchrun and Slurm may each send one: who does not stop in time is sent
    SIGKILL by both, and a user has Ctrl-C. Afterwards SIGTERM does again what it did before.

    Attributes:
        requested: whether this process got one.
    """

    def __init__(self) -> None:
        self.requested = False

    def __enter__(self) -> "StopSignal":
        self._previous = signal.signal(signal.SIGTERM, self._request)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        signal.signal(signal.SIGTERM, self._previous)

    def agreed(self, accelerator: Accelerator) -> bool:
        """Whether any rank got one; every rank calls this, after the same step, and gets the same answer."""
        requests = torch.tensor(float(self.requested), device=accelerator.device)
        return bool(accelerator.reduce(requests, reduction="sum") > 0)

    def _request(self, _: int, __: FrameType | None) -> None:
        self.requested = True
