"""The only user of the HTTP client: connections, time-outs, server-sent events, and the map of foreign errors.

* `values`: what a request is told and what it gives.
* `pool`: one pool of connections an event loop; proxies (`proxies`) and certificate authorities by the environment.
* `exchange`: a plain POST, straight over a pooled connection.
* `client`: the requests.
* `sse`: the decoder of server-sent events, which does no I/O.
* `errors`: foreign exceptions and error answers, mapped to `lumosai.errors`; `waits` serves it.
"""

from __future__ import annotations

from lumosai._http.client import Download, post_json, post_sse, request, stream_bytes
from lumosai._http.errors import from_answer, malformed
from lumosai._http.pool import close
from lumosai._http.sse import Decoder, is_events, payloads_of
from lumosai._http.values import MAX_BYTES, Peer, Response, Timeouts

__all__ = [
    "MAX_BYTES",
    "Decoder",
    "Download",
    "Peer",
    "Response",
    "Timeouts",
    "close",
    "from_answer",
    "is_events",
    "malformed",
    "payloads_of",
    "post_json",
    "post_sse",
    "request",
    "stream_bytes",
]
