"""The http toolkit: allowed hosts only, checked addresses only, against real servers on loopback."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from lumosai.errors import ConfigurationError, ToolError
from lumosai.tools.base import Tool
from lumosai.tools.toolkits import _addresses
from lumosai.tools.toolkits._addresses import inner, read_url, rule
from lumosai.tools.toolkits._html import text_of
from lumosai.tools.toolkits.http import http, system_resolve
from tests.conftest import examples

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Site:
    """A server on loopback, and what it was asked."""

    def __init__(self, port: int, seen: list[web.Request]) -> None:
        self.port = port
        self.seen = seen

    def url(self, path: str = "/", host: str = "site.test") -> str:
        return f"http://{host}:{self.port}{path}"


@asynccontextmanager
async def serve(handler: Handler) -> AsyncIterator[Site]:
    seen: list[web.Request] = []

    async def noted(request: web.Request) -> web.StreamResponse:
        await request.read()
        seen.append(request)
        return await handler(request)

    runner = web.ServerRunner(web.Server(noted))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield Site(runner.addresses[0][1], seen)
    finally:
        await runner.cleanup()


def text(body: str | bytes, content_type: str = "text/plain", **options: Any) -> Handler:
    async def answer(request: web.Request) -> web.Response:
        data = body.encode() if isinstance(body, str) else body
        return web.Response(body=data, headers={"Content-Type": content_type, **options.pop("headers", {})}, **options)

    return answer


def resolver(*answers: str | list[str]) -> Any:
    """Gives the answers one after the other, the last for ever; notes what it was asked."""
    left = [[a] if isinstance(a, str) else a for a in answers]

    async def resolve(host: str, port: int) -> list[str]:
        resolve.asked.append(host)
        return left.pop(0) if len(left) > 1 else left[0]

    resolve.asked = []
    return resolve


LOOPBACK = resolver("127.0.0.1")


def fetcher(*allow: str, **options: Any) -> Callable[..., Awaitable[str]]:
    """`fetch` for hosts on any port, which the tests' resolver puts on loopback."""
    options = {"allow_private": True, "resolve": LOOPBACK, **options}
    return http([*allow] or ["site.test:*"], **options)[0].fn


async def refused(call: Awaitable[str]) -> str:
    with pytest.raises(ToolError) as caught:
        await call
    return str(caught.value)


async def test_plain_text() -> None:
    """A page is given as text; the server is told the name that was asked for."""
    async with serve(text("héllo")) as site:
        assert await fetcher()(site.url("/a b?q=汉 字#top")) == "héllo"
        assert site.seen[0].headers["Host"] == f"site.test:{site.port}"
        assert site.seen[0].path_qs == "/a%20b?q=%E6%B1%89%20%E5%AD%97"


async def test_json() -> None:
    """JSON is given as it came."""
    body = json.dumps({"a": [1, 2], "汉": "字"}, ensure_ascii=False)
    async with serve(text(body, "application/json")) as site:
        assert json.loads(await fetcher()(site.url())) == {"a": [1, 2], "汉": "字"}


async def test_html_becomes_its_text() -> None:
    """Of a page the visible text is given, and with `raw` the page."""
    page = (
        "<html><head><title>T</title><style>x{}</style></head><body><p>one<script>evil()</script> &amp; two</p></body>"
    )
    async with serve(text(page, "text/html; charset=utf-8")) as site:
        assert await fetcher()(site.url()) == "# T\none & two"
        assert await fetcher()(site.url(), raw=True) == page


@pytest.mark.parametrize(
    ("body", "kind", "shown"),
    [
        ("汉字".encode("gb18030"), "text/plain; charset=gb2312", "汉字"),
        ("汉字，文件".encode("gb18030"), "text/plain", "汉字，文件"),
        ("<meta charset=gbk><p>汉字".encode("gbk"), "text/html", "汉字"),
        ("café".encode("latin-1"), "text/plain; charset=no-such", "café"),
        ("café".encode(), "text/plain; charset=undefined", "café"),
        ("café".encode(), "text/plain; charset=Punycode", "café"),
        (b"\xff\xfeh\x00i\x00", "text/plain", "hi"),
        (b"plain", "", "plain"),
    ],
)
async def test_charsets(body: bytes, kind: str, shown: str) -> None:
    """The charset is the one that is named, else the one the bytes have."""
    async with serve(text(body, kind)) as site:
        assert await fetcher()(site.url()) == shown


@pytest.mark.parametrize(
    ("body", "kind", "note"),
    [
        (b"\x89PNG\r\n\x1a\n\x00", "image/png", "[image/png, 9 bytes: not text, not shown]"),
        (b"\x00\x01\x02", "text/plain", "[text/plain, 3 bytes: not text, not shown]"),
        (b"", "text/plain", "[200 OK: an empty answer]"),
    ],
)
async def test_what_is_no_text(body: bytes, kind: str, note: str) -> None:
    """Binary data is named and not shown."""
    async with serve(text(body, kind)) as site:
        assert await fetcher()(site.url()) == note


async def test_error_status() -> None:
    """A status other than 2xx is an error that shows the beginning of the answer."""
    async with serve(text("no such thing" + "x" * 5000, status=404)) as site:
        message = await refused(fetcher()(site.url("/x")))
    assert f"{site.url('/x')} answered 404 Not Found: no such thing" in message
    assert len(message) < 1200


async def test_long_text_is_cut_and_says_so() -> None:
    """A long page does not flood the model's context."""
    async with serve(text("x" * 50_000)) as site:
        shown = await fetcher()(site.url())
    assert shown.startswith("x" * 20_000)
    assert "[cut: 30000 more characters" in shown


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_answer_above_the_limit(encoding: str) -> None:
    """The size that counts is the one after decompression."""
    body = b"x" * 200_000
    data = gzip.compress(body) if encoding == "gzip" else body
    async with serve(text(data, headers={"Content-Encoding": encoding})) as site:
        assert "more than 100000 bytes" in await refused(fetcher(max_bytes=100_000)(site.url()))


async def test_server_that_never_answers() -> None:
    """The time limit holds for the whole call."""
    released = asyncio.Event()

    async def wait(request: web.Request) -> web.Response:
        await released.wait()
        return web.Response()

    async with serve(wait) as site:
        message = await refused(fetcher(timeout_s=0.2)(site.url()))
        released.set()
    assert "0.2 s" in message


async def test_server_that_trickles() -> None:
    """A server that sends a byte now and then does not outlast the limit."""

    async def trickle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            for _ in range(1000):
                await response.write(b"x")
                await asyncio.sleep(0.02)
        except ConnectionError:
            pass
        return response

    async with serve(trickle) as site:
        assert "0.3 s" in await refused(fetcher(timeout_s=0.3)(site.url()))


async def test_resolver_that_hangs() -> None:
    """Nor does a name that takes for ever to look up."""

    async def hang(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    assert "0.1 s" in await refused(fetcher(timeout_s=0.1, resolve=hang)("http://site.test:1/"))


async def test_unreachable() -> None:
    """A closed port and an unknown name are told in words about a web page."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        assert "could not be reached" in await refused(fetcher()(f"http://site.test:{port}/"))
    assert "there is no host 'site.test'" in await refused(fetcher(resolve=resolver([]))("http://site.test:1/"))


async def test_what_is_no_http() -> None:
    """A server of another protocol is named as one."""

    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(shout, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        message = await refused(fetcher()(f"http://site.test:{port}/"))
    assert "site.test" in message


@pytest.mark.parametrize(
    ("pattern", "url", "allowed"),
    [
        ("example.com", "https://example.com/x", True),
        ("example.com", "http://EXAMPLE.com./x", True),
        ("example.com", "https://example.com:443/", True),
        ("example.com", "https://example.com:80/", False),
        ("example.com", "https://sub.example.com/", False),
        ("example.com", "https://notexample.com/", False),
        ("example.com", "https://example.com.evil.test/", False),
        ("*.example.com", "https://a.b.example.com/", True),
        ("*.example.com", "https://example.com/", False),
        ("*.example.com", "https://evilexample.com/", False),
        ("https://example.com", "http://example.com/", False),
        ("https://example.com:8443", "https://example.com:8443/", True),
        ("https://example.com:8443", "https://example.com/", False),
        ("localhost:*", "http://localhost:9999/", True),
        ("*", "https://anything.test/", True),
        ("*", "https://anything.test:8443/", False),
        ("*:*", "https://anything.test:8443/", True),
        ("Bücher.example", "https://xn--bcher-kva.example/", True),
        ("xn--bcher-kva.example", "https://BÜCHER.example/", True),
        ("[2001:DB8::1]:80", "http://[2001:db8:0::1]/", True),
        ("127.0.0.1:*", "http://127.0.0.1:1/", True),
    ],
)
def test_allow_list(pattern: str, url: str, allowed: bool) -> None:
    """An entry names a host, or all below one, and its scheme and port where it says so."""
    assert rule(pattern).allows(read_url(url)) is allowed


@pytest.mark.parametrize(
    "pattern",
    ["", "http://", "a*.com", "*.*.com", "example.com/path", "ftp://a.b", "a b", "user@host", "*.", "a..b", "1.2.3"],
)
def test_allow_list_entry_of_another_form(pattern: str) -> None:
    """An entry that would not mean what it seems to is refused when the tools are made."""
    with pytest.raises(ConfigurationError, match="cannot be allowed"):
        http([pattern])


def test_settings_that_cannot_work() -> None:
    """No host, a bare text for a list, or a method that is none."""
    for allow in ([], "example.com"):
        with pytest.raises(ConfigurationError, match="list of hosts"):
            http(allow)
    with pytest.raises(ConfigurationError, match="'CONNECT'"):
        http(["a.test"], methods=["CONNECT"])


async def test_host_that_is_not_allowed_is_not_looked_up() -> None:
    """A host outside the list is refused before anybody is asked about it."""
    resolve = resolver("127.0.0.1")
    message = await refused(fetcher("site.test", resolve=resolve)("https://other.test/"))
    assert message == "https://other.test is not allowed: only site.test"
    assert resolve.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "site.test",
        "ftp://site.test/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://",
        "http:///x",
        "http://:80/",
        "http://site.test:0/",
        "http://site.test:65536/",
        "http://site.test:8o/",
        "http://user:pass@site.test/",
        "http://site.test@evil.test/",
        "http://site.test\\@evil.test/",
        "http:\\\\site.test/",
        "http://site.test/\r\nHost: evil",
        "http://site.test/\tx",
        "http://site.te\nst/",
        "\x01http://site.test/",
        "http://site.test\x00.evil/",
        "http://site%2etest/",
        "http://[::1",
        "http://[::1%25lo]/",
        "http://[site.test]/",
        "http://site..test/",
        "http://-/\ud800",
        "http://" + "a" * 300 + ".test/",
        "http://0x7f.1/",
        "http://2130706433/",
        "http://017700000001/",
        "http://127.1/",
        "http://0177.0.0.1/",
        "http://127.0.0.1.0x/",
        "http://127.0.0.01/",
        "http://site.test/" + "x" * 9000,
        "http://site.test\u2028/",
    ],
)
async def test_url_that_programs_read_differently(url: str) -> None:
    """A URL is read strictly, and one that might mean another host to somebody is not sent."""
    resolve = resolver("127.0.0.1")
    await refused(fetcher("*:*", resolve=resolve)(url))
    assert resolve.asked == []


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1.",
        "１２７.０.０.１",
        "127。0。0。1",
        "①②⑦.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "0.0.0.0",
        "[::]",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "100.100.100.200",
        "169.254.169.254",
        "168.63.129.16",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "[ff02::1]",
        "224.0.0.1",
        "255.255.255.255",
        "198.18.0.1",
    ],
)
async def test_inner_address(host: str) -> None:
    """No spelling of an inner address is fetched, though every host is allowed."""
    message = await refused(fetcher("*:*", allow_private=False)(f"http://{host}/"))
    assert "not of the open Internet" in message


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::"]
)
def test_address_of_the_open_internet(address: str) -> None:
    """An outer address is not refused, in whichever form it comes."""
    assert inner(address) is None


@pytest.mark.parametrize("text", ["", "site.test", "1.2.3", "::g", "127.0.0.1:80"])
def test_what_is_no_address(text: str) -> None:
    """What a resolver gives that is no address is refused too."""
    assert inner(text) == "no IP address"


@given(st.ip_addresses())
@settings(max_examples=examples(200))
def test_only_global_addresses_pass(address: Any) -> None:
    """What passes is global by the standard library's table too, or stands for an IPv4 address that is."""
    if inner(str(address)) is None and not address.is_global:
        embedded = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None)
        assert embedded is not None
        assert embedded.is_global


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["1.1.1.1", "127.0.0.1"], ["::1"], ["fe80::1%lo"]])
async def test_name_of_an_inner_address(addresses: list[str]) -> None:
    """A name is refused where any of its addresses is inner; nothing is sent."""
    async with serve(text("secret")) as site:
        message = await refused(fetcher(allow_private=False, resolve=resolver(addresses))(site.url()))
        assert site.seen == []
    assert "'site.test' is at an address that is not of the open Internet" in message
    assert "127.0.0.1" not in message


async def test_name_that_resolves_differently_a_moment_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address that was checked is the one that is connected to: the name is looked up once."""
    resolve = resolver("127.0.0.1", "127.0.0.9")

    def everywhere(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError(f"looked up again: {args}")

    async with serve(text("the checked one")) as site:
        monkeypatch.setattr(socket, "getaddrinfo", everywhere)
        assert await fetcher(resolve=resolve)(site.url()) == "the checked one"
    assert resolve.asked == ["site.test"]


async def test_proxy_of_the_environment_is_passed_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would connect to whatever it resolves itself, so none is used."""
    async with serve(text("proxy")) as proxy, serve(text("site")) as site:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert await fetcher()(site.url()) == "site"
        assert proxy.seen == []


async def test_system_resolver() -> None:
    """Without a resolver of one's own, the system's is asked."""
    assert set(await system_resolve("localhost", 80)) <= {"127.0.0.1", "::1"}
    async with serve(text("here")) as site:
        fetch = http([f"127.0.0.1:{site.port}"], allow_private=True)[0].fn
        assert await fetch(f"http://127.0.0.1:{site.port}/") == "here"


def redirect(**places: str) -> Handler:
    """`/name` leads to the place of that name; any other path answers with what it was asked."""

    async def answer(request: web.Request) -> web.Response:
        place = places.get(request.path[1:])
        if place is not None:
            return web.Response(status=int(request.query.get("status", 302)), headers={"Location": place})
        return web.Response(text=f"{request.method} {request.path} {(await request.read()).decode()}")

    return answer


async def test_redirect_within_what_is_allowed() -> None:
    """A redirect is followed, and the answer says where it came from."""
    async with serve(redirect(a="b", b="/c?x=1#f")) as site:
        assert await fetcher()(site.url("/a")) == f"[from {site.url('/c?x=1')}]\nGET /c "


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("http://other.test/", "not allowed"),
        ("//other.test/", "not allowed"),
        ("ftp://site.test/", "http://"),
        ("file:///etc/passwd", "http://"),
        ("http://user@site.test/", "user name"),
        ("http://127.1/", "four decimal numbers"),
        ("https://site.test:1@other.test/", "user name"),
    ],
)
async def test_redirect_elsewhere(place: str, message: str) -> None:
    """A redirect is checked like the first URL."""
    async with serve(redirect(a=place)) as site:
        assert message in await refused(fetcher()(site.url("/a")))
        assert [r.path for r in site.seen] == ["/a"]


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Lets 127.0.0.1 stand for the open Internet, so that a first request can be a real one; notes what was checked."""
    noted: list[str] = []

    def outer(address: str) -> str | None:
        noted.append(address)
        return None if address == "127.0.0.1" else inner(address)

    monkeypatch.setattr(_addresses, "inner", outer)
    return noted


@pytest.mark.parametrize("place", ["http://127.0.0.2:{port}/", "http://inner.test:{port}/", "http://[::1]:{port}/"])
async def test_redirect_to_an_inner_address(place: str, checked: list[str]) -> None:
    """A public host cannot send the request on to an inner one, by address or by name."""

    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"] if host == "site.test" else ["10.0.0.1"]

    async with serve(text("secret")) as secret, serve(redirect(a=place.format(port=secret.port))) as site:
        fetch = fetcher("*:*", allow_private=False, resolve=resolve)
        assert "not of the open Internet" in await refused(fetch(site.url("/a")))
        assert [r.path for r in site.seen] == ["/a"]
        assert secret.seen == []


async def test_redirects_without_end() -> None:
    """Only so many redirects are followed."""
    async with serve(redirect(a="/b", b="/a")) as site:
        assert "more than 3 redirects" in await refused(fetcher(max_redirects=3)(site.url("/a")))
        assert len(site.seen) == 4


async def test_name_is_checked_again_at_each_redirect(checked: list[str]) -> None:
    """A name that became inner between two requests is refused at the second."""
    resolve = resolver("127.0.0.1", "169.254.169.254")
    async with serve(redirect(a="/b")) as site:
        fetch = fetcher(resolve=resolve, allow_private=False)
        assert "link-local" in await refused(fetch(site.url("/a")))
        assert [r.path for r in site.seen] == ["/a"]
    assert checked == ["127.0.0.1", "169.254.169.254"]


def requester(**options: Any) -> Tool:
    made = http(["site.test:*", "other.test:*"], allow_private=True, resolve=LOOPBACK, **options)
    return {tool.name: tool for tool in made}["http_request"]


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        (301, "GET /b "),
        (302, "GET /b "),
        (303, "GET /b "),
        (307, "POST /b data"),
        (308, "POST /b data"),
    ],
)
async def test_posted_and_redirected(status: int, shown: str) -> None:
    """What was posted is posted again only where the status says so."""
    post = requester(methods=["GET", "POST"]).fn
    async with serve(redirect(a="/b")) as site:
        answer = await post("POST", site.url(f"/a?status={status}"), "data", "text/plain")
    assert answer.splitlines()[1].strip() == shown.strip()


async def test_request_with_a_body() -> None:
    """The body and its type are sent; a method that was not allowed is refused."""
    put = requester(methods=["PUT"])
    assert "Methods: PUT." in put.description
    async with serve(redirect()) as site:
        assert await put.fn("put", site.url("/x"), '{"汉": 1}') == 'PUT /x {"汉": 1}'
        assert site.seen[0].headers["Content-Type"] == "application/json"
        assert "only PUT" in await refused(put.fn("DELETE", site.url("/x")))
        assert "not a content type" in await refused(put.fn("PUT", site.url("/x"), "x", "a\r\nEvil: 1"))


def test_tools_by_methods() -> None:
    """`fetch` is there for GET, `http_request` for more; only what changes something is run once or asks."""
    assert [t.name for t in http(["a.test"])] == ["fetch"]
    get, other = http(["a.test"], methods=["GET", "POST"], approval=True)
    assert (get.approval, other.approval, other.effect) == (False, True, "once")
    assert requester(methods=["PUT"]).effect == "idempotent"


async def test_secret_headers_stay_with_their_origin() -> None:
    """A key is sent to the host it is for, and not on to where that host points."""
    async with serve(redirect()) as other, serve(redirect(a=f"http://other.test:{other.port}/x", b="/c")) as site:
        options = {"headers": {"Authorization": "Bearer key"}}
        fetch = fetcher("site.test:*", "other.test:*", **options)
        await fetch(site.url("/a"))
        await fetch(site.url("/b"))
        assert [r.headers.get("Authorization") for r in site.seen] == ["Bearer key"] * 3
        assert [r.headers.get("Authorization") for r in other.seen] == [None]


@pytest.mark.parametrize(
    ("html", "shown"),
    [
        ("<p>a</p><p>b</p>", "a\nb"),
        ("<h2>H</h2><ul><li>x<li>y</ul>", "## H\n- x\n- y"),
        ("<table><tr><th>a<th>b<tr><td>1<td>2</table>", "a | b\n1 | 2"),
        ("<pre>def f():\n    return 1</pre>", "def f():\n    return 1"),
        ("a<br>b<img alt='pic'>", "a\nb pic"),
        ("<script>x='</p>'</script>ok<style>p{}</style>", "ok"),
        ("<head><title>T</title><body>b", "# T\nb"),
        ("&lt;p&gt; &#x6C49;", "<p> 汉"),
        ("<!-- c -->y", "y"),
        ("", ""),
        ("</p></script></pre>a", "a"),
    ],
)
def test_text_of_html(html: str, shown: str) -> None:
    """The text is what a reader sees, a block a line."""
    assert text_of(html) == shown


@settings(max_examples=examples(100), deadline=None)
@given(st.text(alphabet="<>/!-pbrscripte title&;#\"'= \n[", max_size=80))
def test_any_html_is_read(html: str) -> None:
    """No page raises."""
    assert isinstance(text_of(html), str)


@settings(max_examples=examples(200), deadline=None)
@given(st.text(alphabet="htp:/@\\.[]%?#0127af x-_①。\t\n", max_size=40))
def test_any_url_is_read_or_refused(text: str) -> None:
    """What is read is written anew with the same parts, by any reader; the rest is our error."""
    from urllib.parse import urlsplit

    from yarl import URL

    for url in (text, f"http://{text}", f"http://a{text}"):
        try:
            target = read_url(url)
        except ToolError:
            continue
        for host, port in [
            (urlsplit(target.url).hostname, urlsplit(target.url).port),
            (URL(target.url).raw_host, URL(target.url).explicit_port),
        ]:
            assert host == target.host
            assert port in (target.port, None)
        assert read_url(target.url) == target
