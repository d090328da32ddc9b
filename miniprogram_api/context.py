"""What a request handler may reach: the core, the present instant, and who is calling."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, cast
from uuid import UUID

from flask import current_app, g

from server.kernel.actors import Actor, MemberActor, PartnerActor

if TYPE_CHECKING:
    from datetime import datetime

    from server.bootstrap import Core


def core() -> Core:
    """Return the core that this application was built on."""
    return cast("Core", current_app.extensions["huiban"])


def now() -> datetime:
    """Return the present instant of the core's clock."""
    return core().clock.now()


def request_id_of(given: str) -> str:
    """Return the id of a request: the caller's own where it is fit to be logged and searched for, else a new one."""
    fit = 8 <= len(given) <= 64 and given.replace("-", "").isalnum() and given.isascii()  # noqa: PLR2004 - 8 to 64 characters
    return given if fit else secrets.token_hex(16)


def member_id() -> UUID:
    """Return the member who is calling; only below ``member_required``."""
    return cast("UUID", g.member.member_id)


def actor() -> Actor:
    """Return who is calling, as the services want it."""
    if "member" in g:
        return MemberActor(g.member.member_id)
    return PartnerActor(g.partner.partner_id, g.partner.name)


def caller() -> str:
    """Return the caller's name in idempotency records."""
    who = actor()
    return f"{who.kind}:{who.ref}"
