"""Models behind Anthropic's `/v1/messages`.

`_anthropic_request` writes requests, `_anthropic_answer` reads answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from lumosai.models._anthropic_request import longest
from lumosai.models._anthropic_send import MessagesWire
from lumosai.models._server_model import ServerModel

if TYPE_CHECKING:
    from lumosai.models._endpoint import Endpoint
    from lumosai.models.base import ModelRequest

VERSION: Final = "2023-06-01"
"""The API's version: the newest in which models that know a temperature may be given one."""

_WHOLE_TOKENS: Final = 21_333
"""Longest answer that is fetched whole: a longer one may take ten minutes, in which no byte would come."""


class AnthropicModel(ServerModel):
    """A model of Anthropic's, or of another server that speaks its Messages API.

    Its arguments are those of every model behind a server. A base URL may lack the version in its path. What the
    protocol has and the house has no name for (`thinking`, `output_config`, `metadata`, server tools under `tools`, …)
    stands in `ModelSettings.extra`.
    """

    __slots__ = ()

    PROVIDER: ClassVar[str] = "anthropic"

    def _own_headers(self, key: str | None) -> dict[str, str]:
        own = {"Content-Type": "application/json", "anthropic-version": VERSION}
        return {**own, **({"x-api-key": key} if key else {})}

    def _make_wire(self, to: Endpoint) -> MessagesWire:
        return MessagesWire(to, self.profile)

    def _only_streams(self, request: ModelRequest) -> bool:
        return super()._only_streams(request) or longest(request.settings, self.profile) > _WHOLE_TOKENS
