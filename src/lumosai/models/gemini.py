"""Models behind `:generateContent`, the wire format of Google's Gemini API and of Vertex AI.

`_gemini_request` writes requests, `_gemini_answer` reads answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from lumosai.models._gemini_send import GeminiWire
from lumosai.models._server_model import ServerModel

if TYPE_CHECKING:
    from lumosai.models._endpoint import Endpoint


class GeminiModel(ServerModel):
    """A model of Google's Gemini API; its arguments are those of every model behind a server.

    Vertex AI speaks the same format: `base_url` is then its address up to and including `publishers/google`, and the
    token stands in `headers` as `Authorization`.

    A server that refuses JSON Schemas or the ids of calls, which older ones do, is asked again without them.
    """

    __slots__ = ()

    PROVIDER: ClassVar[str] = "gemini"

    def _own_headers(self, key: str | None) -> dict[str, str]:
        return {"Content-Type": "application/json", **({"x-goog-api-key": key} if key else {})}

    def _make_wire(self, to: Endpoint) -> GeminiWire:
        return GeminiWire(to, self.profile)
