"""What a user wrote, in yaml and on the command line, as keys and values whose types are still open.

Yaml says how keys nest; what a value is, the schema will say. So `precision: no`, `lr: 1e-5` or a folder called
2026-01-31 are what they look like, and a file can make no objects.
"""

import re
import textwrap
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from musedance.errors import InputError

COMMAND_LINE = "command line"


class _Loader(yaml.SafeLoader):
    """Plain scalars are null or text: the schema knows what else they may be."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - as PyYAML has it


_NULL, _TEXT, _LIST = (f"tag:yaml.org,2002:{name}" for name in ("null", "str", "seq"))
_Loader.add_implicit_resolver(_NULL, re.compile(r"(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])


@dataclass(frozen=True)
class Given:
    """A dotted key with the value that it is given.

    Attributes:
        key: as the user wrote it.
        node: its value in yaml; `None` = nothing.
        where: file and line, or the command line.
    """

    key: str
    node: yaml.Node | None
    where: str

    @property
    def written(self) -> str:
        """The value as it was written, on one line."""
        return _source(self.node)

    @property
    def texts(self) -> list[str]:
        """The value if it is one text, or those that it lists."""
        if isinstance(self.node, yaml.SequenceNode):
            return [entry.value for entry in self.node.value if isinstance(entry, yaml.ScalarNode)]
        return [self.node.value] if isinstance(self.node, yaml.ScalarNode) else []

    @property
    def value(self) -> str | list[str] | None:
        """Null, text or a list of texts.

        Raises:
            TypeError: it is something else.
        """
        if self.node is None or self.node.tag == _NULL:
            return None
        if self.node.tag == _TEXT:
            return self.node.value
        if self.node.tag == _LIST and all(entry.tag == _TEXT for entry in self.node.value):
            return [entry.value for entry in self.node.value]
        raise TypeError(f"{self.node.tag} is neither text nor a list of texts")


def read_file(path: Path, sections: Collection[str]) -> Iterator[Given]:
    """The keys of a yaml file.

    Args:
        path: the file.
        sections: dotted keys that hold other keys; "" for the whole.

    Raises:
        InputError: it cannot be read, or is no yaml with keys.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InputError(f"cannot read the config {path}: {reason}") from error
    root = _parse(text, str(path))
    if root is None:
        return
    if not isinstance(root, yaml.MappingNode):
        raise InputError(f"{path} is no config: it has to hold lines of 'key: value'")
    for key, node in _expand("", root, sections):
        yield Given(key, node, f"{path}, line {node.start_mark.line + 1}")


def read_overrides(overrides: Sequence[str], sections: Collection[str]) -> Iterator[Given]:
    """The keys of `key=value` arguments; a value is yaml, so "optim={lr: 1e-5}" gives optim.lr.

    Raises:
        InputError: one is something else.
    """
    for override in overrides:
        key, equals, text = override.partition("=")
        if not (equals and key.strip()):
            raise InputError(f"{COMMAND_LINE}: {override!r} is not key=value")
        root = _parse(text, f"{COMMAND_LINE}: the value of {key}")
        if root is None:
            yield Given(key.strip(), None, COMMAND_LINE)
        else:
            yield from (Given(inner, node, COMMAND_LINE) for inner, node in _expand(key.strip(), root, sections))


def _parse(text: str, what: str) -> yaml.Node | None:
    """Yaml as a tree of nodes; `None` for nothing."""
    try:
        return yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        line = f" in line {mark.line + 1}" if mark and "\n" in mark.buffer else ""
        raise InputError(f"{what} is not yaml: {' '.join(str(problem or error).split())}{line}") from error


def _expand(key: str, node: yaml.Node, sections: Collection[str]) -> Iterator[tuple[str, yaml.Node]]:
    """A node as (dotted key, node of its value)."""
    if not (isinstance(node, yaml.MappingNode) and key in sections):
        yield key, node
        return
    for name, value in node.value:
        inner = name.value if isinstance(name, yaml.ScalarNode) else _source(name)
        yield from _expand(f"{key}.{inner}" if key else inner, value, sections)


def _source(node: yaml.Node | None) -> str:
    if node is None or node.tag == _NULL:
        return "null"
    start, end = node.start_mark, node.end_mark
    return textwrap.shorten(start.buffer[start.pointer : end.pointer], 60, placeholder=" ...") or "empty"
