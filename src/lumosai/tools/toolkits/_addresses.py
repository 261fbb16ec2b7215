"""Which URLs may be fetched: an allow-list of hosts, one strict reading of a URL, and no address of an inner network.

A URL is read here once, strictly, and written anew from its checked parts, so that nobody behind this file can read it
otherwise: no user names, no control characters or backslashes, no numbers that only some programs take for an address.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from lumosai.errors import ConfigurationError, ToolError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_URL = re.compile(r"(https?)://([^/?#]*)([^?#]*)(\?[^#]*)?(?:#.*)?", re.IGNORECASE | re.DOTALL)
_HOST = re.compile(r"(?P<host>\[[0-9a-f:.]+\]|[^:\[\]]+)(?::(?P<port>[0-9]{0,5}))?", re.IGNORECASE)
_NAME = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PATTERN = re.compile(
    r"(?:(?P<scheme>https?)://)?(?P<host>\*\.[^:/*]+|\*|\[[^\]]+\]|[^:/*]+)(?::(?P<port>[0-9]+|\*))?/?"
)
_PORTS = {"http": 80, "https": 443}
_MAX_PORT = 65535
_MAX_URL = 8000
_KEPT_IN_PATH = "/:@!$&'()*+,;=%~[]"

_REFUSED: tuple[tuple[str, ipaddress.IPv4Network | ipaddress.IPv6Network], ...] = tuple(
    (reason, ipaddress.ip_network(network))
    for reason, networks in {
        "loopback": ("127.0.0.0/8", "::1/128"),
        "private": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10"),
        "link-local": ("169.254.0.0/16", "fe80::/10"),
        "carrier-grade NAT": ("100.64.0.0/10",),
        "unspecified": ("0.0.0.0/8", "::/128"),
        "multicast": ("224.0.0.0/4", "ff00::/8"),
        "a cloud's metadata service": ("168.63.129.16/32", "192.0.0.192/32"),
        "a tunnel": ("2001::/32", "192.88.99.0/24"),
        "reserved": (
            "192.0.0.0/24",
            "198.18.0.0/15",
            "240.0.0.0/4",
            "64:ff9b:1::/48",
            "100::/64",
            "2001:db8::/32",
            "5f00::/16",
        ),
    }.items()
    for network in networks
)
# Addresses of IPv6 that stand for one of IPv4, which begins at that bit.
_EMBEDDED = tuple(
    (ipaddress.IPv6Network(network), shift)
    for network, shift in (
        ("::ffff:0:0/96", 0),
        ("::/96", 0),
        ("64:ff9b::/96", 0),
        ("::ffff:0:0:0/96", 0),
        ("2002::/16", 80),
    )
)


class Target(NamedTuple):
    """A URL that was read: its checked parts, and itself written from them.

    Attributes:
        scheme: "http" or "https".
        host: lower-case ASCII without a dot at the end; of an IPv6 address without brackets.
        port: a number, the scheme's own where none was given.
        url: what is sent.
    """

    scheme: str
    host: str
    port: int
    url: str

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port


class Rule(NamedTuple):
    """One entry of an allow-list. `suffix` is `".example.com"` for `*.example.com`, and `""` for any host."""

    scheme: str | None
    host: str | None
    suffix: str
    port: str | None

    def allows(self, target: Target) -> bool:
        if self.scheme not in (None, target.scheme):
            return False
        port_fits = self.port == "*" or target.port == (int(self.port) if self.port else _PORTS[target.scheme])
        return port_fits and (target.host == self.host if self.host else target.host.endswith(self.suffix))


def rule(pattern: str) -> Rule:
    """An entry such as `example.com`, `*.example.com`, `https://api.example.com:8443`, `localhost:*` or `*`.

    Raises:
        ConfigurationError: it is not of that form.
    """
    impossible = ConfigurationError(
        f"{pattern!r} cannot be allowed: write a host such as 'example.com', '*.example.com' or "
        "'https://api.example.com:8443', without a path; '*' allows every host"
    )
    found = _PATTERN.fullmatch(pattern.strip().lower())
    if found is None:
        raise impossible
    host = found["host"]
    if host == "*":
        return Rule(found["scheme"], None, "", found["port"])
    try:
        name = _host_name(host.removeprefix("*."), pattern)
    except ToolError:
        raise impossible from None
    wild = host.startswith("*.")
    return Rule(found["scheme"], None if wild else name, f".{name}" if wild else "", found["port"])


def read_url(url: str) -> Target:
    """The parts of `url`, each checked.

    Raises:
        ToolError: not an http or https URL, or written so that programs may read it differently.
    """
    url = url.strip(" ")
    if len(url) > _MAX_URL:
        raise ToolError(f"the URL has {len(url)} characters: at most {_MAX_URL} are sent")
    if any(map(_is_treacherous, url)):
        raise ToolError(f"{url!r} holds a control character, a line end or a backslash: write it without")
    parts = _URL.fullmatch(url)
    if parts is None:
        raise ToolError(f"{url!r} is not a URL that can be fetched: it must begin with http:// or https://")
    scheme, authority, path, query = parts[1].lower(), parts[2], parts[3], parts[4] or ""
    if "@" in authority:
        raise ToolError(f"{url!r} holds a user name before its host: write it without")
    found = _HOST.fullmatch(authority)
    port = int(found["port"] or _PORTS[scheme]) if found else 0
    if found is None or not 0 < port <= _MAX_PORT:
        raise ToolError(f"{url!r} has no host that can be reached: write it like 'https://example.com/path'")
    host = _host_name(found["host"], url)
    shown = f"[{host}]" if ":" in host else host
    rest = quote(path or "/", safe=_KEPT_IN_PATH) + quote(query, safe=_KEPT_IN_PATH + "?")
    return Target(scheme, host, port, f"{scheme}://{shown}{'' if port == _PORTS[scheme] else f':{port}'}{rest}")


def _is_treacherous(char: str) -> bool:
    """Whether programs disagree about the character, or one of them ends a line or the host at it."""
    return char < " " or char in "\\\x7f" or (char.isspace() and char != " ") or "\ud800" <= char <= "\udfff"


def _host_name(host: str, url: str) -> str:
    if host.startswith("["):
        try:
            return str(ipaddress.IPv6Address(host[1:-1]))
        except ValueError:
            raise ToolError(f"{url!r} has a host that is no IPv6 address") from None
    try:
        # Unicode forms of letters, digits and dots become ASCII here, before anything is compared.
        name = host.encode("idna").decode("ascii").lower() if len(host) <= 253 else ""  # noqa: PLR2004  # DNS allows no more
    except UnicodeError:
        name = ""
    if not _NAME.fullmatch(name):
        raise ToolError(f"{url!r} has a host that is no name: {host!r}")
    name = name.removesuffix(".")
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        try:
            return str(ipaddress.IPv4Address(name))
        except ValueError:
            raise ToolError(f"{url!r}: write an IP address as four decimal numbers, such as 192.0.2.1") from None
    return name


def check_allowed(target: Target, rules: Sequence[Rule], patterns: Iterable[str]) -> None:
    """Nothing, where a rule allows the target.

    Raises:
        ToolError: none does; the message says what is allowed.
    """
    if not any(each.allows(target) for each in rules):
        port = "" if target.port == _PORTS[target.scheme] else f":{target.port}"
        raise ToolError(f"{target.scheme}://{target.host}{port} is not allowed: only {', '.join(patterns)}")


def check_public(host: str, addresses: Sequence[str]) -> None:
    """Nothing, where every address is one of the open Internet.

    One inner address among several is enough to refuse: a name with both is how a firewall is tricked.

    Raises:
        ToolError: one is not; the message says of which kind it is, not where it points.
    """
    for address in addresses:
        reason = inner(address)
        if reason is not None:
            raise ToolError(f"{host!r} is at an address that is not of the open Internet ({reason}): it is not fetched")


def inner(address: str) -> str | None:
    """Why an IP address is not one of the open Internet, None where it is."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "no IP address"
    for reason, network in _REFUSED:
        if ip.version == network.version and ip in network:
            return reason
    if isinstance(ip, ipaddress.IPv6Address):
        for network, shift in _EMBEDDED:
            if ip in network:
                return inner(str(ipaddress.IPv4Address(int(ip) >> shift & 0xFFFFFFFF)))
    return None if ip.is_global else "reserved"
