"""Members who can log in, pictures of every kind, and tickets."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from PIL import Image

from server.feedback import service
from server.kernel.actors import MemberActor, StaffActor
from server.kernel.ids import uuid7
from server.members.sessions import login_with_wechat

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from server.bootstrap import Core
    from server.feedback.queries import TicketView


@dataclass(frozen=True)
class Caller:
    """A member with a token."""

    member_id: UUID
    headers: dict[str, str]

    @property
    def actor(self) -> MemberActor:
        return MemberActor(self.member_id)


def a_caller(core: Core, openid: str = "openid-one") -> Caller:
    """Log a member in as the mini-program does."""
    login = core.db.run(
        lambda session: login_with_wechat(
            session, appid=core.wechat.appid, openid=openid, unionid=None, client="test", address=None, now=core.clock.now()
        )
    )
    return Caller(login.member_id, {"Authorization": f"Bearer {login.access_token}"})


def an_agent(name: str = "Agent") -> StaffActor:
    """Return somebody of the service desk."""
    return StaffActor(uuid7(), name)


def a_ticket(session: Session, caller: Caller, *, now: datetime, content: str = "包裹外箱破了，请处理。", **more: object) -> TicketView:
    """Open a ticket as its member does."""
    return service.open_ticket(
        session,
        caller.member_id,
        **{"category": "logistics", "content": content, "actor": caller.actor, "now": now, **more},  # type: ignore[arg-type]
    )


def a_picture(kind: str = "PNG", size: tuple[int, int] = (40, 30), mode: str = "RGB", **options: object) -> bytes:
    """Return a small, whole picture."""
    out = io.BytesIO()
    Image.new(mode, size, "orange").save(out, kind, **options)
    return out.getvalue()
