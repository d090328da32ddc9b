"""Links that open the mini-program from outside WeChat."""

from __future__ import annotations

from typing import Protocol


class LinkGateway(Protocol):
    """Links for text messages, mail and web pages."""

    def url_scheme(self, page: str, query: str = "", *, days: int = 30) -> str:
        """Return a ``weixin://`` link, for pages that other apps show.

        Arguments:
            page: path without leading slash; empty for the first page.
            query: without question mark, at most 1,024 characters.
            days: how long it works, 1 to 30.

        Raises:
            ValueError: the days are out of range or the query is too long.
            WeChatRejectedError: the page is not published.
        """
        ...

    def url_link(self, page: str, query: str = "", *, days: int = 30) -> str:
        """Return an ``https://`` link, for text messages and mail. Arguments and errors are those of ``url_scheme``."""
        ...
