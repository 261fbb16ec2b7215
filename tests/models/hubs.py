"""A hub of models on loopback: one file, served with `Range`, and in the ways in which servers fail."""

import contextlib
import http.server
import threading
from dataclasses import dataclass, field


@dataclass
class FakeHub:
    """What is served and how.

    Attributes:
        data: the file.
        ranges: whether `Range` is heeded.
        status: the answer's status, where it is not to be 200 or 206.
        cut: bytes after which each connection is cut, None for none.
        hold: set it to let a held answer begin, or, with `hold_at`, go on after so many bytes.
        requests: the `Range` header of each request, None where there was none.
    """

    data: bytes
    ranges: bool = True
    status: int | None = None
    cut: int | None = None
    hold: threading.Event | None = None
    hold_at: int | None = None
    content_range: str | None = None
    requests: list[str | None] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    held: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def answer(self, request):
        asked = request.headers.get("Range")
        self.requests.append(asked)
        self.paths.append(request.path)
        if self.hold is not None and self.hold_at is None:
            self.held.set()
            self.hold.wait(30)
        if self.status is not None:
            request.send_error(self.status)
            return
        begin = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.ranges else 0
        body = self.data[begin:]
        request.send_response(206 if asked and self.ranges else 200)
        if asked and self.ranges:
            last = len(self.data) - 1
            request.send_header("Content-Range", self.content_range or f"bytes {begin}-{last}/{len(self.data)}")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if self.cut is not None:
            request.wfile.write(body[: self.cut])
            request.close_connection = True
        elif self.hold is not None:
            request.wfile.write(body[: self.hold_at])
            request.wfile.flush()
            self.held.set()
            self.hold.wait(30)
            request.wfile.write(body[self.hold_at :])
        else:
            request.wfile.write(body)


@contextlib.contextmanager
def serve(hub):
    """Serves on a port of its own until the block is left."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            with contextlib.suppress(ConnectionError):
                hub.answer(self)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        if hub.hold is not None:
            hub.hold.set()
        server.shutdown()
        server.server_close()
        thread.join(10)
