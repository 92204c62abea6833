"""The watch over the loss: a step that cannot be used is skipped, and a run that cannot be saved is stopped."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from accelerate import Accelerator
from accelerate.utils import gather_object

from musedance.failures import complain
from musedance.training.config import HealthConfig

SETTLED = 20  # passes before a loss can be called too large
MEMORY = 100  # passes over which the mean forgets
SCALER_PATIENCE = 20  # steps: fp16's loss scale starts at 2 ** 16 and is halved until the gradients fit

ADVICE = (
    "lower optim.lr, take memory.precision=bf16 if it is fp16, and branch off from a good checkpoint with --resume "
    "PATH and another output"
)


class TrainingStopped(RuntimeError):
    """Too many steps in a row could not be used. The message is one line and says what to try."""


@dataclass
class _State:
    """`mean` is over the good passes; `skipped` and `overflows` count the last steps, without a good one between."""

    mean: float = 0.0
    passes: int = 0
    skipped: int = 0
    overflows: int = 0


class Health:
    """Says which losses and gradients cannot be used, and when it is enough.

    All ranks ask with the same numbers and get the same answers.

    Args:
        config: see `HealthConfig`.
        main_process: this is the one that says so on stderr.
    """

    def __init__(self, config: HealthConfig, *, main_process: bool = True) -> None:
        self.config, self.main_process, self._state = config, main_process, _State()

    def check(self, losses_of_ranks: Sequence[float]) -> str | None:
        """Why the losses of one pass, of all ranks in their order, cannot be used; `None` if they can.

        Each is compared with the running mean over ranks and good passes, once there were 20 of those: plain over the
        first 100, exponential with a weight of 1/100 from there on.
        """
        for rank, loss in enumerate(losses_of_ranks):
            if not math.isfinite(loss):
                return f"loss is {loss} on rank {rank}"
        rank, loss = max(enumerate(losses_of_ranks), key=lambda entry: entry[1])
        state = self._state
        if state.passes >= SETTLED and loss > self.config.explosion * state.mean > 0:
            times = loss / state.mean
            return f"loss {loss:.4g} on rank {rank} is {times:.3g} times the running mean {state.mean:.4g}"
        state.passes += 1
        mean = sum(losses_of_ranks) / len(losses_of_ranks)
        state.mean += (mean - state.mean) / min(state.passes, MEMORY)
        return None

    def check_gradient(self, norm: float, *, scaled: bool) -> str | None:
        """Why the gradient of one step cannot be used; `None` if it can.

        Args:
            norm: of all ranks' gradient, before clipping.
            scaled: the loss is scaled (fp16). The scaler skips steps on its own while it looks for its scale, so that a
                norm that is not finite is no reason then, unless there are too many in a row.

        Raises:
            TrainingStopped: the scaler found none.
        """
        if math.isfinite(norm):
            self._state.overflows = 0
            return None
        if not scaled:
            return f"gradient norm is {norm}"
        self._state.overflows += 1
        if self._state.overflows > SCALER_PATIENCE:
            raise TrainingStopped(
                f"the gradients of {self._state.overflows} steps in a row overflow fp16 at every loss scale: {ADVICE}"
            )
        return None

    def record(self, step: int, reason: str | None, ids: Sequence[str]) -> None:
        """Note how a step went; say so if it was skipped.

        Args:
            step: how many are done, this one among them.
            reason: why it was skipped, `None` if it was not.
            ids: of its clips, see `gather_ids`; read only if it was skipped.

        Raises:
            TrainingStopped: `max_skipped` in a row were.
        """
        if reason is None:
            self._state.skipped = 0
            return
        self._state.skipped += 1
        what, clips = f"step {step} skipped: {reason}", f"clips {', '.join(ids)}"
        if self._state.skipped >= self.config.max_skipped:
            raise TrainingStopped(f"{what}, and {self._state.skipped} in a row were ({clips}): {ADVICE}")
        if self.main_process:
            complain(f"warning: {what} ({clips})")

    def state_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self._state)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._state = _State(**state)


def gather_ids(accelerator: Accelerator, ids: Sequence[str]) -> list[str]:
    """The clips of all ranks, each with its rank; every rank calls this, when `Health` has given a reason."""
    if accelerator.num_processes == 1:
        return list(ids)
    return gather_object([f"{name} (rank {accelerator.process_index})" for name in ids])
