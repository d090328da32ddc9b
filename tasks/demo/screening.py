"""Content that waits for a review in the demonstration: doubted nicknames and texts, a picture WeChat refused, and what was decided."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

from server.feedback import service as feedback
from server.files import service as files
from server.flows import screening as flow
from server.kernel.actors import MemberActor
from server.kernel.pagination import PageRequest
from server.members.service import ProfileChange
from server.screening import queries, service
from server.screening.queries import CheckFilter
from server.screening.rules import Cause, Screened

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from tasks.demo import DemoContext

_ADVERTISING, _OTHER, _PORNOGRAPHY = 10001, 21000, 20002
_DOUBTED = Screened(passed=False, cause=Cause.DOUBT, label=_ADVERTISING)
_NICKNAMES = ("加微信领券", "代购小王13800", "全场兼职招募", "优惠群主", "咖啡豆批发")
_TEXT = "你们家活动不错，想要优惠的朋友可以加微信 coffee-group 一起拼单，长期有效。"


def load(session: Session, demo: DemoContext) -> None:
    """Make a handful of checks in every state, on members of the demonstration."""
    people = iter(demo.members[-12:])
    staff = demo.staff("operations")
    for place, text in enumerate(_NICKNAMES):
        member_id, at = next(people), demo.now - timedelta(hours=2 + 7 * place)
        change = ProfileChange(nickname=text)
        flow.submit_profile(session, member_id, change, nickname=_DOUBTED, actor=MemberActor(member_id), now=at)
    member_id, at = next(people), demo.now - timedelta(hours=5)
    feedback.open_ticket(session, member_id, category=None, content=_TEXT, screened=_DOUBTED, actor=MemberActor(member_id), now=at)
    _avatar(session, demo, next(people), at=demo.now - timedelta(hours=9), answers=("risky", _PORNOGRAPHY))
    _avatar(session, demo, next(people), at=demo.now - timedelta(hours=3), answers=("review", _OTHER))
    oldest = sorted(queries.listed(session, CheckFilter(states=("held",), subject="nickname"), PageRequest(10)).items, key=_age)[:2]
    refused, allowed = oldest
    flow.decide(session, refused.id, allow=False, reason="昵称中请勿包含联系方式", actor=staff, now=demo.now - timedelta(hours=1))
    flow.decide(session, allowed.id, allow=True, reason=None, actor=staff, now=demo.now - timedelta(minutes=50))


def _age(check: queries.CheckView) -> datetime:
    return check.created_at


def _avatar(session: Session, demo: DemoContext, member_id: UUID, *, at: datetime, answers: tuple[str, int]) -> None:
    image = Image.new("RGB", (256, 256), (236, 220, 200))
    pencil = ImageDraw.Draw(image)
    pencil.ellipse((58, 40, 198, 180), fill=(196, 120, 84))
    pencil.rectangle((40, 196, 216, 232), fill=(120, 78, 60))
    out = io.BytesIO()
    image.save(out, "PNG")
    upload = files.store_upload(
        session, demo.core.files, owner_member_id=member_id, purpose="avatar", data=out.getvalue(), content_type="image/png", now=at
    )
    flow.set_avatar(session, member_id, upload.id, actor=MemberActor(member_id), now=at)
    found = queries.listed(session, CheckFilter(states=("waiting",), member_id=member_id, subject="avatar"), PageRequest(1)).items
    for claimed in service.claim(session, [one.id for one in found], now=at):
        trace_id = f"demo-{claimed.check_id.hex[:16]}"
        flow.note_asked(session, claimed, trace_id, now=at)
        flow.take_answer(session, trace_id, suggestion=answers[0], label=answers[1], now=at + timedelta(minutes=2))
