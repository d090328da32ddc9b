"""Images of mini-program codes."""

from __future__ import annotations

from typing import Protocol


class CodeGateway(Protocol):
    """Codes to print and to scan."""

    def qr_code(self, scene: str, page: str) -> bytes:
        """Return the image of a mini-program code.

        Arguments:
            scene: at most 32 visible ASCII characters without ``%``.
            page: path without leading slash or query.

        Raises:
            WeChatRejectedError: WeChat does not know the page.
        """
        ...
