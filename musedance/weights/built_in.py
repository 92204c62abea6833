"""The small model that comes with the package."""

from importlib.resources import files
from pathlib import Path

BUILT_IN = Path(str(files("musedance.weights").joinpath("tiny")))
"""Its pipeline folder, for `from_pretrained`; the card in it, README.md, says what it can do."""
