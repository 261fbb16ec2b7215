"""Models behind `/chat/completions`, the wire format that most servers speak.

One class serves every provider of that protocol; what differs between them is data: `models.providers` says where each
is, which key it takes and what its models can do. `_openai_request` writes requests, `_openai_answer` reads answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from lumosai.models._openai_send import ChatWire
from lumosai.models._server_model import ServerModel

if TYPE_CHECKING:
    from lumosai.models._endpoint import Endpoint


class OpenAIChatModel(ServerModel):
    """A model of any OpenAI-compatible server; its arguments are those of every model behind a server.

    A server that refuses `stream_options`, the name of the longest answer or the `developer` role is asked again without
    it.
    """

    __slots__ = ()

    PROVIDER: ClassVar[str] = "openai"

    def _own_headers(self, key: str | None) -> dict[str, str]:
        return {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}

    def _make_wire(self, to: Endpoint) -> ChatWire:
        return ChatWire(to, self.profile)
