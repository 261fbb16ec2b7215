"""Which proxy a URL goes through, as the environment says.

`HTTPS_PROXY`, `HTTP_PROXY` and `ALL_PROXY`, in lower case first, as curl reads them; `NO_PROXY` holds names, suffixes,
`host:port`, networks such as `10.0.0.0/8`, or `*`. A loopback address has no rule of its own: put it into `NO_PROXY`.
"""

from __future__ import annotations

import ipaddress
import os
import urllib.request
from typing import TYPE_CHECKING

from lumosai.errors import ConfigurationError

if TYPE_CHECKING:
    from yarl import URL


_direct: set[str] = set()


def go_direct(host_and_port: str, direct: bool) -> None:  # noqa: FBT001  # a switch
    """Whether `host:port` is reached past any proxy: a server of this very process, which no proxy could reach."""
    (_direct.add if direct else _direct.discard)(host_and_port)


def proxy_for(url: URL) -> str | None:
    """The proxy's URL, None where `url` is reached directly.

    Raises:
        ConfigurationError: the proxy is of a kind that is not spoken here, such as SOCKS.
    """
    if _direct and f"{url.host}:{url.port}" in _direct:
        return None
    found = urllib.request.getproxies_environment()
    kind = url.scheme if url.scheme in found else "all"
    proxy = found.get(kind)
    if not proxy or _bypassed(url, found):
        return None
    if "://" not in proxy:
        proxy = "http://" + proxy
    if not proxy.startswith(("http://", "https://")):
        msg = (
            f"the proxy of {kind.upper()}_PROXY, of kind {proxy.split('://')[0]!r}, cannot be used: only http:// and "
            f"https:// proxies are spoken; name such a one, or put {url.host!r} into NO_PROXY"
        )
        raise ConfigurationError(msg)
    return proxy


def _bypassed(url: URL, found: dict[str, str]) -> bool:
    """Whether `NO_PROXY` names this host, its port or a network that holds it."""
    host = url.host or ""
    if urllib.request.proxy_bypass_environment(f"{host}:{url.port}", found):  # type: ignore[attr-defined]  # the stubs leave it out
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    listed = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    return any(_holds(entry.strip(), address) for entry in listed.split(","))


def _holds(entry: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    try:
        return address in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False
