"""What a single run may want of its memory otherwise than the memory has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from lumosai.errors import InvalidInputError


class MemoryOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`memory_options=` of a run. What is None is as the memory has it.

    Attributes:
        last_messages: how many of the thread's last messages it may be shown.
        token_budget: how many tokens its prompt may take.
        recall: False looks for nothing; or a `SemanticRecall` of its own.
        working: False shows no working memory and gives no tool that changes it.
        read_only: True keeps nothing of the run: no message, and no change of working memory.
        processors: instead of the memory's.
    """

    last_messages: int | None = None
    token_budget: int | None = None
    recall: Any = None
    working: bool | None = None
    read_only: bool = False
    processors: tuple[Any, ...] | None = None

    @property
    def told(self) -> dict[str, Any] | None:
        """What of it an event can hold, None where nothing: functions and objects are told of by name."""
        found: dict[str, Any] = {}
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if name == "processors" and value is not None:
                found[name] = [_named(p) for p in value]
            elif value is not None and value is not False:
                found[name] = value if isinstance(value, bool | int) else _named(value)
            elif value is False and name != "read_only":
                found[name] = False
        return found or None


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for one run: the memory's own, with what the run wants otherwise on top.

    Attributes:
        last_messages, token_budget, processors: see `Memory`.
        keeps: whether what the run says is kept.
        recall: what looks for older messages, None for nothing.
        working: which facts are kept, None for none.
        titles: who names threads: see `Memory`.
    """

    last_messages: int
    token_budget: int | None = None
    processors: tuple[Any, ...] = ()
    keeps: bool = True
    recall: Any = None
    working: Any = None
    titles: str = "words"

    @property
    def is_quick(self) -> bool:
        """Whether a run recalls without waiting for anything but the thread's last messages."""
        return self.recall is None and self.working is None and not self.processors

    def with_(self, wanted: MemoryOptions) -> Settings:
        """As a run wants it."""
        return Settings(
            last_messages=self.last_messages if wanted.last_messages is None else wanted.last_messages,
            token_budget=self.token_budget if wanted.token_budget is None else wanted.token_budget,
            processors=self.processors if wanted.processors is None else wanted.processors,
            keeps=self.keeps and not wanted.read_only,
            recall=self.recall if wanted.recall in (None, True) else (wanted.recall or None),
            working=None if wanted.working is False else self.working,
            titles=self.titles,
        )


_NAMES: Final = MemoryOptions.__struct_fields__
_NUMBERS: Final = {"last_messages": 0, "token_budget": 1}
_SWITCHES: Final = ("working", "read_only")


def options_of(given: Mapping[str, Any] | MemoryOptions | None, *, again: bool = False) -> MemoryOptions:
    """What a run was given as `memory_options`.

    Args:
        given: by name.
        again: whether they come from the run's own event, in which objects stand by name; those are left out.

    Raises:
        InvalidInputError: there is no such option, or it is not of its type.
    """
    if given is None:
        return _NOTHING
    if isinstance(given, MemoryOptions):
        return given
    options = {k: v for k, v in _mapping(given).items() if not (again and isinstance(v, str | list))}
    unknown = [k for k in options if k not in _NAMES]
    if unknown:
        names = ", ".join(map(repr, unknown))
        raise InvalidInputError(f"memory_options has no {names}: there is {', '.join(map(repr, _NAMES))}")
    for name, least in _NUMBERS.items():
        value = options.get(name)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
            raise InvalidInputError(f"memory_options[{name!r}] is {value!r}: it must be a number from {least} on")
    for name in _SWITCHES:
        if not isinstance(options.get(name, False), bool):
            raise InvalidInputError(f"memory_options[{name!r}] is {options[name]!r}: it is True or False")
    recall = options.get("recall")
    if recall is not None and not isinstance(recall, bool) and not hasattr(recall, "add_to"):
        raise InvalidInputError(f"memory_options['recall'] is {recall!r}: it is False, or a SemanticRecall")
    processors = options.get("processors")
    if processors is not None:
        options["processors"] = checked(processors)
    return MemoryOptions(**options)


def checked(processors: Any) -> tuple[Any, ...]:
    """Processors, each of them callable.

    Raises:
        InvalidInputError: one is not, or they are no sequence.
    """
    if callable(processors) or isinstance(processors, str):
        raise InvalidInputError("processors is a list of callables: put the one there is into one, [processor]")
    found = tuple(processors)
    for processor in found:
        if not callable(processor) or isinstance(processor, type):
            raise InvalidInputError(
                f"the processor {processor!r} cannot be called with a plan: give a function, or an object such as "
                "ToolCallFilter()"
            )
    return found


def _named(value: Any) -> str:
    name = getattr(value, "__qualname__", None)
    return name if isinstance(name, str) else repr(value)


_NOTHING: Final = MemoryOptions()


def _mapping(given: Any) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise InvalidInputError(f"memory_options={given!r:.80} is no dict")
    return given
