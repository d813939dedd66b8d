"""YAML in which every scalar is text: ``01``, ``010``, ``no``, ``12:30`` and ``2026-08-01`` stay what they are.

Codes of a hospital look exactly like the numbers, booleans and dates of YAML 1.1, so nothing is
ever converted; the schema says where a word is wanted. Duplicate keys, tags and aliases are refused:
the first hides a typing error, the others have no use in a mapping.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Steps = tuple[str | int, ...]


class UnreadableFile(Exception):
    """The file is not YAML of the kind a mapping uses; the text names file and line."""


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file: ``data`` (dict, list, str only) and the line on which each part starts."""

    file: Path
    data: Any
    lines: dict[Steps, int] = field(default_factory=dict)

    def place(self, steps: Steps) -> str:
        """``folder/file.yaml:12`` for the part at ``steps``, or for the nearest part around it."""
        for length in range(len(steps), -1, -1):
            if steps[:length] in self.lines:
                return f"{self.name}:{self.lines[steps[:length]]}"
        return self.name

    @property
    def name(self) -> str:
        """The file with its folder, as a person says it."""
        return f"{self.file.parent.name}/{self.file.name}"


def load_document(file: Path) -> Document:
    """Read ``file``. Raises UnreadableFile."""
    try:
        return parse_document(file.read_text("utf-8"), file)
    except UnicodeDecodeError as error:
        raise UnreadableFile(f"{file}: not UTF-8 at byte {error.start}") from error
    except OSError as error:
        raise UnreadableFile(f"{file}: {error.strerror}") from error


def parse_document(text: str, file: Path) -> Document:
    """Parse ``text``; ``file`` is only named in faults. Raises UnreadableFile."""
    document = Document(file, None)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UnreadableFile(f"{document.name}:{line}: not YAML: {error.problem}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise UnreadableFile(f"{document.name}: not YAML: {error}") from error
    if node is None:
        raise UnreadableFile(f"{document.name}: the file is empty")
    data = _build(node, (), document, set())
    return Document(file, data, document.lines)


def _build(node: yaml.Node, steps: Steps, document: Document, seen: set[int]) -> Any:
    line = node.start_mark.line + 1
    if id(node) in seen:
        raise UnreadableFile(f"{document.name}:{line}: aliases (*name) are not used in mappings")
    seen.add(id(node))
    document.lines[steps] = line
    if isinstance(node, yaml.MappingNode):
        return _build_mapping(node, steps, document, seen)
    if isinstance(node, yaml.SequenceNode):
        return [_build(item, (*steps, at), document, seen) for at, item in enumerate(node.value)]
    return str(node.value)


def _build_mapping(
    node: yaml.MappingNode, steps: Steps, document: Document, seen: set[int]
) -> dict[str, Any]:
    built: dict[str, Any] = {}
    for key_node, value_node in node.value:
        place = f"{document.name}:{key_node.start_mark.line + 1}"
        if not isinstance(key_node, yaml.ScalarNode):
            raise UnreadableFile(f"{place}: a key must be a word")
        key = str(key_node.value)
        if key in built:
            raise UnreadableFile(f"{place}: the key {key!r} is written twice")
        built[key] = _build(value_node, (*steps, key), document, seen)
        document.lines[(*steps, key)] = key_node.start_mark.line + 1
    return built
