"""What the environment says about the way to a server: proxies and certificate authorities, through real ones on loopback."""

from __future__ import annotations

import asyncio
import base64
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
from yarl import URL

from lumosai import _http
from lumosai._http.proxies import proxy_for
from lumosai.errors import ConfigurationError, ModelConnectionError
from tests.raw_server import Connection, RawServer
from tests.test_http_receiving import content, say

HEADERS = {"Content-Type": "application/json"}
VARIABLES = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
)


@pytest.fixture(autouse=True)
def no_way_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables of whoever runs the tests are not seen by them."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate authority of our own and a certificate of it for 127.0.0.1, made by the `openssl` program."""
    if shutil.which("openssl") is None:
        pytest.skip("makes its certificates with the openssl program, which is not installed")
    folder = tmp_path_factory.mktemp("authority")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=150)

    new = ["req", "-newkey", "rsa:2048", "-nodes", "-subj"]
    openssl(
        *new,
        "/CN=Test CA",
        "-x509",
        "-days",
        "2",
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        "-addext",
        "keyUsage=critical,keyCertSign,cRLSign",
    )
    openssl(*new, "/CN=127.0.0.1", "-keyout", "server.key", "-out", "server.csr")
    (folder / "server.ext").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    signed = ["x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"]
    openssl(*signed, "-extfile", "server.ext", "-out", "server.pem")
    hashed = subprocess.run(
        ["openssl", "x509", "-in", "ca.pem", "-noout", "-subject_hash"],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    (folder / "certs").mkdir()
    shutil.copy(folder / "ca.pem", folder / "certs" / f"{hashed.stdout.strip()}.0")
    return folder


def server_side(authority: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "server.pem", authority / "server.key")
    return context


async def ok(connection: Connection) -> None:
    while True:
        await connection.request()
        await connection.answer(b'{"ok":true}')


async def tunnel(connection: Connection) -> None:
    """A proxy: forwards what is asked of it in full, and opens tunnels."""
    head, _ = await connection.request()
    method, target, _ = head.split("\r\n", 1)[0].split(" ")
    if method != "CONNECT":
        await connection.answer(b'{"by":"proxy"}')
        return
    host, port = target.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    await connection.send(b"HTTP/1.1 200 Connection established\r\n\r\n")

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()

    both = [asyncio.create_task(pump(connection.reader, writer)), asyncio.create_task(pump(reader, connection.writer))]
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in both:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)
        writer.close()


# Proxies.


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
async def test_a_plain_proxy(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """An http URL is asked of the proxy by its full name, which need not resolve here."""
    async with RawServer(tunnel) as proxy:
        monkeypatch.setenv(variable, proxy.url)
        url = "http://no-such-host.invalid/v1"
        assert await _http.post_json(url, b"{}", headers=HEADERS) == b'{"by":"proxy"}'
        assert proxy.connections[0].requests[0][0].startswith("POST http://no-such-host.invalid/v1 HTTP/1.1")


async def test_a_proxy_with_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """User and password of the proxy's URL are sent to it, and not shown when it refuses."""

    async def refusing(connection: Connection) -> None:
        await connection.request()
        await connection.answer(b"", "407 Proxy Authentication Required")

    async with RawServer(refusing) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://ann:s3cret-word@127.0.0.1:{proxy.port}")
        with pytest.raises(Exception) as caught:  # of which kind is not the point here
            await _http.post_json("http://no-such-host.invalid/v1", b"{}", headers=HEADERS)
        head = proxy.connections[0].requests[0][0]
    assert f"Proxy-Authorization: Basic {base64.b64encode(b'ann:s3cret-word').decode()}" in head
    assert "s3cret-word" not in str(caught.value)


async def test_a_tunnel_through_a_proxy(monkeypatch: pytest.MonkeyPatch, authority: Path) -> None:
    """An https URL goes through a CONNECT tunnel, its certificate checked at the far end, and streams through it."""

    async def events(connection: Connection) -> None:
        await connection.request()
        await connection.begin()
        await connection.chunk(b"data: 1\n\ndata: [DONE]\n\n")
        await connection.chunk(b"")

    async with RawServer(events, tls=server_side(authority)) as server, RawServer(tunnel) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
        found = [p async for batch in _http.post_sse(server.url, b"{}", headers=HEADERS) for p in batch]
        assert found == [b"1", b"[DONE]"]
        assert proxy.connections[0].requests[0][0].startswith(f"CONNECT 127.0.0.1:{server.port}")
        await _http.close()


async def test_a_proxy_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error blames the proxy, not the server, and names the variables."""
    async with RawServer(ok) as gone:
        url = gone.url
    monkeypatch.setenv("HTTP_PROXY", url)
    with pytest.raises(ModelConnectionError, match=r"proxy.*HTTPS_PROXY, HTTP_PROXY and NO_PROXY"):
        await _http.post_json("http://example.invalid/v1", b"{}", headers=HEADERS)


async def test_a_host_that_needs_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """`NO_PROXY` is kept; fixed addresses never go through a proxy."""
    async with RawServer(ok) as server, RawServer(tunnel) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        await _http.request("GET", server.url, addresses=["127.0.0.1"])
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        await _http.post_json(server.url, b"{}", headers=HEADERS)
        assert proxy.connections == []


@pytest.mark.parametrize(
    ("listed", "url", "direct"),
    [
        ("", "http://127.0.0.1:11434/v1", False),
        ("localhost,127.0.0.1", "http://127.0.0.1:11434/v1", True),
        ("127.0.0.0/8", "http://127.1.2.3/v1", True),
        ("10.0.0.0/8, fd00::/8", "http://[fd12::1]:80/v1", True),
        ("10.0.0.0/8", "http://11.0.0.1/v1", False),
        (".corp.example", "http://llm.corp.example/v1", True),
        ("corp.example", "http://llm.corp.example/v1", True),
        ("corp.example", "http://notcorp.example/v1", False),
        ("corp.example:8080", "http://corp.example:8080/v1", True),
        ("*", "http://anything.example/v1", True),
    ],
)
def test_what_no_proxy_names(monkeypatch: pytest.MonkeyPatch, listed: str, url: str, direct: bool) -> None:
    """Names, suffixes, ports, networks and `*`; loopback has no rule of its own."""
    monkeypatch.setenv("HTTP_PROXY", "proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", listed)
    assert proxy_for(URL(url)) == (None if direct else "http://proxy.example:3128")


async def test_a_proxy_of_a_kind_that_is_not_spoken(monkeypatch: pytest.MonkeyPatch) -> None:
    """SOCKS is refused by name before anything is sent, its password unshown."""
    monkeypatch.setenv("ALL_PROXY", "socks5://ann:s3cret-word@127.0.0.1:1080")
    with pytest.raises(ConfigurationError, match=r"ALL_PROXY.*socks5.*NO_PROXY") as caught:
        await _http.post_json("https://api.example.invalid/v1", b"{}", headers=HEADERS)
    assert "s3cret-word" not in str(caught.value)


# Certificate authorities.


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_DIR"])
async def test_a_certificate_authority_of_ones_own(
    monkeypatch: pytest.MonkeyPatch, authority: Path, variable: str
) -> None:
    """Any of the usual variables makes a company's certificate trusted."""
    async with RawServer(ok, tls=server_side(authority)) as server:
        with pytest.raises(ModelConnectionError, match="SSL_CERT_FILE") as caught:
            await _http.post_json(server.url, b"{}", headers=HEADERS)
        assert not caught.value.retryable
        await _http.close()
        monkeypatch.setenv(variable, str(authority / ("certs" if variable == "SSL_CERT_DIR" else "ca.pem")))
        assert await _http.post_json(server.url, b"{}", headers=HEADERS) == b'{"ok":true}'
        await _http.close()


async def test_a_certificate_for_another_name(monkeypatch: pytest.MonkeyPatch, authority: Path) -> None:
    """With fixed addresses TLS still checks the name of the URL."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
    async with RawServer(ok, tls=server_side(authority)) as server:
        url = f"https://localhost:{server.port}/"
        assert (await _http.request("GET", url, addresses=["127.0.0.1"])).status == 200
        with pytest.raises(ModelConnectionError, match="not trusted"):
            await _http.request("GET", f"https://other.invalid:{server.port}/", addresses=["127.0.0.1"])


async def test_https_to_a_server_without_tls() -> None:
    """The error suggests the scheme."""

    async def plain(connection: Connection) -> None:
        await connection.reader.read(100)
        await connection.answer(b"", "400 Bad Request")

    async with RawServer(plain) as server:
        with pytest.raises(ModelConnectionError, match="http:// or https://"):
            await _http.post_json(server.url.replace("http:", "https:"), b"{}", headers=HEADERS)


@pytest.mark.parametrize("content", [None, "not a certificate"])
async def test_a_ca_file_that_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None) -> None:
    """Missing or unreadable: the variable and the file are named."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    with pytest.raises(ConfigurationError, match=r"REQUESTS_CA_BUNDLE.*ca.pem"):
        await _http.post_json("https://api.example.invalid/v1", b"{}", headers=HEADERS)


async def test_a_large_answer_over_tls(monkeypatch: pytest.MonkeyPatch, authority: Path) -> None:
    """Comes whole, and so do several at once."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
    async with RawServer(say, tls=server_side(authority)) as server:
        answers = await asyncio.gather(*[_http.post_json(server.url, n.encode(), headers=HEADERS) for n in "abc"])
        await _http.close()
    assert [*answers] == [content(n) for n in "abc"]
