"""How calls travel: requests' own adapter, without what its session does anew for every request.

A session looks for proxies, certificates and passwords in the environment and in files, merges cookies and hooks, and takes
the address apart, each time: with a million messages to send that was more than half of a call's cost. All calls of one client go to
one address, so the environment is asked once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict

# As many as any process calls at the same time; what is more would be opened and thrown away.
MOST_CONNECTIONS = 128


class Transport:
    """What wechatpy needs of a session.

    Arguments:
        base_url: where every call goes.
    """

    def __init__(self, base_url: str) -> None:
        with requests.Session() as session:
            # Proxies and certificates as the machine has them set up.
            found = session.merge_environment_settings(base_url, {}, stream=False, verify=None, cert=None)
        self._settings: dict[str, Any] = dict(found)
        self._adapter = HTTPAdapter(pool_maxsize=MOST_CONNECTIONS)

    def request(
        self,
        *,
        method: str,
        url: str,
        params: Mapping[str, Any] | Sequence[tuple[str, Any]] = (),
        data: bytes | None = None,
        timeout: tuple[float, float] | None = None,
        allow_redirects: bool = False,
    ) -> requests.Response:
        """Make one call.

        Arguments:
            method: of HTTP, in any case.
            url: without a query.
            params: of the query.
            data: the body.
            timeout: to connect and to read, in seconds.
            allow_redirects: never: what is sent there is meant for WeChat alone.

        Raises:
            RequestException: as from any session.
            ValueError: redirects were asked for.
        """
        if allow_redirects:
            raise ValueError(allow_redirects)
        request = requests.PreparedRequest()
        request.method = method.upper()
        query = urlencode(params)
        request.url = f"{url}?{query}" if query else url
        request.headers = CaseInsensitiveDict({"Accept": "*/*", "User-Agent": "huiban"})
        if data is not None:
            request.headers["Content-Length"] = str(len(data))
        request.body = data
        response = self._adapter.send(request, timeout=timeout, **self._settings)
        # Read at once, so that the connection is free for the next call.
        _ = response.content
        return response
