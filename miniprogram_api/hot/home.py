"""The member's home page: guard and page in one statement of ``flows.home``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from miniprogram_api.hot.asked import Answered, Asked
from miniprogram_api.idempotent import to_json
from miniprogram_api.v1.me import home_body
from server.files import service as files
from server.flows import home as home_flow

if TYPE_CHECKING:
    from uuid import UUID

    from server.bootstrap import Core

OK = 200


class HomePage:
    """``GET /api/v1/me`` of a member who is let in.

    Arguments:
        core: what it stands on.
    """

    method = "GET"
    rule = "/api/v1/me"
    endpoint = "v1_me.home"

    def __init__(self, core: Core) -> None:
        self._core = core

    def is_at(self, path: str) -> bool:
        """Tell whether an address is this page's."""
        return path == self.rule

    def answer(self, asked: Asked) -> Answered | None:
        """Return the page, or None for whoever is not let in."""
        core = self._core
        with core.db.autocommit() as runner:
            page = home_flow.of_token(runner, asked.access_hash, now=asked.now)
        if page is None:
            return None

        def address(upload_id: UUID) -> str:
            return files.signed_address(upload_id, secret_key=core.settings.secret_key, now=asked.now)

        return Answered(OK, to_json(home_body(page, address)))
