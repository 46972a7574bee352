"""Pictures from web addresses, without letting a stranger reach what only this machine can reach.

A name is resolved once and every address of it is checked; the connection goes to the address that was checked, so a
name that changes its mind has no second say. Each redirect begins anew.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable

import httpx2

from perceptio.serving.api.errors import ApiError
from perceptio.serving.api.names import resolve

_PORTS = {"http": 80, "https": 443}
_REDIRECTS = 3
_AT_ONCE = 8
_LONGEST = 2048  # characters of an address
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")  # leaves out mapped IPv4, NAT64 and all that is local


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet, and hides no other one."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:  # a zone, as of fe80::1%eth0
        return False
    if isinstance(ip, ipaddress.IPv6Address) and (ip not in _GLOBAL_UNICAST or ip.sixtofour or ip.teredo):
        return False
    return ip.is_global and not ip.is_multicast


class RemotePictures:
    """Fetches pictures.

    Args:
        max_bytes: of one.
        seconds: that one may take, redirects included.
        ports: by scheme.
        resolve: gives the addresses of a name.
        allowed: whether an address may be connected to.
    """

    def __init__(
        self,
        max_bytes: int,
        seconds: float,
        *,
        ports: dict[str, int] | None = None,
        resolve: Callable[[str, int], Awaitable[list[str]]] = resolve,
        allowed: Callable[[str], bool] = is_public,
    ) -> None:
        self.max_bytes, self.seconds = max_bytes, seconds
        self.ports = ports or _PORTS
        self._resolve, self._allowed = resolve, allowed
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def fetch(self, url: str) -> bytes:
        """The content of a picture.

        Raises:
            ApiError: 400 with what is wrong.
        """
        try:
            async with asyncio.timeout(self.seconds), self._places:
                for _ in range(_REDIRECTS + 1):
                    content, url = await self._get(url)
                    if content is not None:
                        return content
        except TimeoutError as error:
            raise _refused(f"the picture did not come within {self.seconds:g} s") from error
        except (httpx2.InvalidURL, UnicodeError) as error:  # of a redirect, or a name that no resolver can be asked for
            raise _refused("the picture's address is no address") from error
        except (httpx2.HTTPError, OSError) as error:
            raise _refused("the picture's address cannot be reached") from error
        raise _refused(f"the picture's address leads on more than {_REDIRECTS} times")

    async def _get(self, address: str) -> tuple[bytes | None, str]:
        """The content at an address, or None and the address that it leads to."""
        url = self._checked(address)
        pinned = await self._pinned(url)
        headers = {"Host": url.netloc.decode("ascii"), "Accept": "image/*", "Accept-Encoding": "identity"}
        timeout = httpx2.Timeout(self.seconds)
        async with (
            httpx2.AsyncClient(trust_env=False, follow_redirects=False, timeout=timeout) as client,
            client.stream("GET", pinned, headers=headers, extensions={"sni_hostname": _host(url)}) as response,
        ):
            if response.has_redirect_location:
                return None, str(url.join(response.headers["Location"]))
            if response.status_code != 200:
                raise _refused(f"the picture's address answers with status {response.status_code}")
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise _refused("the picture comes compressed, though that was not asked for")
            content = bytearray()
            async for part in response.aiter_raw():
                content += part
                if len(content) > self.max_bytes:
                    raise _refused(f"the picture has more than {self.max_bytes} bytes")
        return bytes(content), ""

    def _checked(self, address: str) -> httpx2.URL:
        """An address that may be resolved."""
        try:
            url = httpx2.URL(address) if len(address) <= _LONGEST else None
        except (httpx2.InvalidURL, UnicodeError, ValueError):
            url = None
        if url is None or url.scheme not in self.ports or not url.host or url.userinfo:
            raise _refused("the picture's address must be a plain http or https one, without a password")
        if (url.port or _PORTS[url.scheme]) != self.ports[url.scheme]:
            raise _refused("the picture's address must not name a port of its own")
        return url

    async def _pinned(self, url: httpx2.URL) -> httpx2.URL:
        """The address with one of its host's IP addresses in place of the name, if all of them are public."""
        found = await self._resolve(_host(url), self.ports[url.scheme])
        if not found or not all(map(self._allowed, found)):
            raise _refused("the picture's address is not one of the public internet")
        return url.copy_with(host=found[0])


def _host(url: httpx2.URL) -> str:
    """The name as it is asked for, in ASCII."""
    return url.raw_host.decode("ascii")


def _refused(message: str) -> ApiError:
    return ApiError(400, message, "invalid_image_url")
