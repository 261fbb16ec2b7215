"""Values and line numbers of a YAML document, in the shape `config_lines` gives them for TOML.

The only user of the YAML library. Plain data only: no tags that make objects, no key twice in one mapping.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lumosai.agent.config_lines import Path

MOST_NODES = 100_000
"""More than this, aliases counted each time they are used, is not a configuration."""
_MERGE = "tag:yaml.org,2002:merge"


class YamlError(ValueError):
    """The text is not YAML that a configuration may be. `line` counts from 1."""

    def __init__(self, problem: str, line: int) -> None:
        self.line = line
        super().__init__(problem)


def read_yaml(text: str) -> tuple[Any, dict[Path, int]]:
    """The document's value, None where it is empty, and the line at which each key and list item is written.

    Raises:
        YamlError: not YAML; a key twice; a key that is not a text; a tag; an alias within itself.
    """
    import yaml

    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is None:
            return None, {}
        lines: dict[Path, int] = {}
        _Walk(yaml, lines).visit(node, (), ())
        return yaml.safe_load(text), lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(error.problem or "not valid", mark.line + 1 if mark else 1) from None
    except YamlError:
        raise
    except (yaml.YAMLError, ValueError) as error:  # a date such as 2024-13-45 is a plain ValueError
        raise YamlError(str(error), 1) from None


class _Walk:
    """Notes the lines of a tree of nodes, and refuses what plain data has not."""

    def __init__(self, yaml: Any, lines: dict[Path, int]) -> None:
        self.yaml = yaml
        self.lines = lines
        self.count = 0

    def visit(self, node: Any, path: Path, around: tuple[int, ...]) -> None:
        self.count += 1
        line = node.start_mark.line + 1
        if id(node) in around:
            raise YamlError("an alias stands within what it names", line)
        if self.count > MOST_NODES:
            raise YamlError(f"more than {MOST_NODES} values", line)
        inside = (*around, id(node))
        if isinstance(node, self.yaml.MappingNode):
            self._mapping(node, path, inside)
        elif isinstance(node, self.yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self.lines.setdefault((*path, index), item.start_mark.line + 1)
                self.visit(item, (*path, index), inside)

    def _mapping(self, node: Any, path: Path, inside: tuple[int, ...]) -> None:
        seen: set[str] = set()
        for key, value in node.value:
            if key.tag == _MERGE:
                self.visit(value, path, inside)
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.tag == _MERGE:
                continue
            if key.tag != "tag:yaml.org,2002:str":
                written = getattr(key, "value", "")
                raise YamlError(f"the key {written!r} is not a text: put it in quotes", line)
            if key.value in seen:
                raise YamlError(f"the key {key.value!r} stands twice", line)
            seen.add(key.value)
            self.lines[(*path, key.value)] = line
            self.visit(value, (*path, key.value), inside)
