"""What `assemble` tells about every tensor it met."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor


@dataclass(frozen=True)
class ReportRow:
    """What became of some tensors: loaded from `origin`, "new" (not trained) or "left out" on purpose.

    `parameters` is `None` where only the names are known.
    """

    component: str
    origin: str
    tensors: int
    parameters: int | None
    note: str = ""


def row(component: str, origin: str, tensors: Iterable[Tensor], note: str = "") -> ReportRow:
    """A row that counts tensors."""
    sizes = [tensor.numel() for tensor in tensors]
    return ReportRow(component, origin, len(sizes), sum(sizes), note)


@dataclass(frozen=True)
class AssembleReport:
    """What was loaded, what is new, what was left out; `str()` gives a table."""

    folder: Path
    rows: tuple[ReportRow, ...]

    def __str__(self) -> str:
        lines = [f"{'component':<15} {'origin':<16} {'tensors':>7} {'parameters':>11}  note"]
        for entry in self.rows:
            size = "-" if entry.parameters is None else f"{entry.parameters / 1e6:.2f} M"
            lines.append(f"{entry.component:<15} {entry.origin:<16} {entry.tensors:>7} {size:>11}  {entry.note}")
        return "\n".join(line.rstrip() for line in lines)
