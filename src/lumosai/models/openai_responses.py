"""Models behind `/responses`, OpenAI's newer wire format, which others speak as well.

Answers come as typed events of typed items. Thoughts come sealed and are sent back with the calls they led to, so that
a model goes on thinking where it stopped, although nothing is stored at the server. `_responses_request` writes requests,
`_responses_history` the conversation in them; `_responses_answer` reads answers, item by item (`_responses_items`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from lumosai.models._responses_request import Options
from lumosai.models._responses_send import ResponsesWire
from lumosai.models._server_model import DEFAULT_TIMEOUT_S, ServerModel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai._http.values import Timeouts
    from lumosai.models._endpoint import Endpoint
    from lumosai.models.profiles import Profile


class OpenAIResponsesModel(ServerModel):
    """A model of OpenAI's Responses API, or of any server that speaks it.

    A server that refuses sealed thoughts, `strict` or the `developer` role is asked again without it.

    Args:
        name: the model's name at its server.
        tools: the server's own tools, such as `{"type": "web_search"}`, and custom ones, as the wire has them. What the
            server's tools do comes as `ProviderPart`s of the answer and is sent back unchanged. A custom tool's call runs
            the tool of that name with the one argument `input`.
        summary: how thoughts are to be summed up: "auto", "concise" or "detailed"; without it OpenAI's are not readable.
        stored: leave answers at the server and go on by `previous_response_id`, sending only what is new.
        base_url, api_key, timeout_s, headers, profile, price, provider: as of every model behind a server.
    """

    __slots__ = ("_options",)

    PROVIDER: ClassVar[str] = "openai-responses"

    def __init__(
        self,
        name: str,
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        summary: str | None = None,
        stored: bool = False,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout_s: float | Timeouts | None = DEFAULT_TIMEOUT_S,
        headers: Mapping[str, str] | None = None,
        profile: Profile | None = None,
        price: Any = None,
        provider: str = "",
    ) -> None:
        super().__init__(
            name,
            base_url=base_url,
            api_key=api_key,
            timeout_s=timeout_s,
            headers=headers,
            profile=profile,
            price=price,
            provider=provider,
        )
        self._options = Options(tuple(dict(t) for t in tools), summary, stored)

    def _own_headers(self, key: str | None) -> dict[str, str]:
        return {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}

    def _make_wire(self, to: Endpoint) -> ResponsesWire:
        return ResponsesWire(to, self.profile, self._options)
