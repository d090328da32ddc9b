"""Members of the demonstration: people with names, phones, birthdays and tiers, who joined over the last year and a half."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from faker import Faker

from server.campaigns.rules import LUNAR, SOLAR, LeapDayRule, celebrated_on
from server.cards import service as cards
from server.flows.login import log_in
from server.kernel.actors import MemberActor, PartnerActor
from server.kernel.clock import business_date
from server.kernel.ids import uuid7
from server.members import deletion
from server.members import service as members
from server.members.rules import Birthday
from server.tiers import queries as tier_queries
from server.tiers import service as tiers

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from tasks.demo import DemoContext

PEOPLE = 120
_TILL_SHARE = 4  # every fourth is known to a till only
_LATEST = timedelta(hours=20)
# The first two who can be logged in as have their birthday when the demonstration begins, so that gifts and greetings are seen.
_BORN_TODAY = (SOLAR, LUNAR)
_LEAVER, _ASKED_AGO = 61, timedelta(days=2)
_NICKNAMES = (
    "小满", "阿泽", "一只橘猫", "慢慢来", "云朵", "南风知意", "山茶", "豆豆妈", "老陈", "早睡的人",
    "柠檬茶", "江边散步", "麦子", "北方有鱼", "糖炒栗子", "木易", "夏天的风", "不吃香菜", "跑步的李姐", "月半弯",
    "青团", "晚安喵", "大白兔", "西湖边的人", "拾光", "阿宁", "冬瓜汤", "知了", "半糖",
)  # fmt: skip
_CITIES = ("上海", "杭州", "苏州", "南京", "宁波", "北京", "深圳", "广州", "成都", "武汉", "厦门", "西安")
_INTERESTS = ("咖啡", "烘焙", "亲子", "露营", "护肤", "家居", "阅读", "运动", "宠物", "茶")
_PREFIXES = ("134", "135", "136", "137", "138", "139", "150", "151", "158", "159", "186", "188")
_TIERS = ((0.06, 3), (0.18, 2), (0.42, 1))


def load(session: Session, demo: DemoContext) -> None:
    """Make the people; their ids are left in ``demo.members`` in the order they joined."""
    names = Faker("zh_CN")
    names.seed_instance(demo.rng.randrange(2**32))
    ages = sorted((demo.rng.random() ** 1.6 * 540 for _ in range(PEOPLE)), reverse=True)
    openids: list[str] = []
    till = PartnerActor(uuid7(), "POS")
    for number, days in enumerate(ages):
        joined = demo.now - _LATEST - timedelta(days=days, minutes=demo.rng.randrange(600))
        phone = f"+86{demo.rng.choice(_PREFIXES)}{demo.rng.randrange(10**8):08d}"
        if number % _TILL_SHARE == _TILL_SHARE - 1:
            member_id = members.enrol_unclaimed(session, phone=phone, external_ids={"pos": f"P{number}"}, actor=till, now=joined)
            cards.issue(session, member_id, now=joined)
        else:
            openid = f"demo-openid-{number:03d}"
            born_today = len(openids) < len(_BORN_TODAY)
            member_id = _from_wechat(session, demo, openid, phone, joined, names, born=born_today)
            if born_today:
                _celebrates_today(session, demo, member_id, _BORN_TODAY[len(openids)], joined)
            openids.append(openid)
        demo.members.append(member_id)
        _give_tier(session, demo, member_id, joined)
    demo.credentials.setdefault("openids", openids)
    # One of them is leaving, so that the console has a wish with its dates to show.
    leaver = demo.members[_LEAVER]
    deletion.request_deletion(session, leaver, reason=None, actor=MemberActor(leaver), now=demo.now - _ASKED_AGO)


def _from_wechat(
    session: Session, demo: DemoContext, openid: str, phone: str, joined: datetime, names: Faker, *, born: bool = False
) -> UUID:
    login = log_in(
        session,
        appid=demo.core.settings.wechat_appid,
        openid=openid,
        unionid=None,
        client="MicroMessenger",
        address=None,
        invite_code=None,
        policy_version="2026-01",
        now=joined,
    )
    member_id, me = login.member_id, MemberActor(login.member_id)
    rng = demo.rng
    nickname = rng.choice(_NICKNAMES) if rng.random() < 0.55 else str(names.name())  # noqa: PLR2004 - a share
    change = members.ProfileChange(
        nickname=nickname,
        gender=rng.choice(("female", "female", "male", "unknown")),
        city=rng.choice(_CITIES) if rng.random() < 0.8 else None,  # noqa: PLR2004 - a share
        interests=rng.sample(_INTERESTS, rng.randrange(4)),
    )
    members.update_profile(session, member_id, change, actor=me, now=joined)
    if rng.random() < 0.8 and not born:  # noqa: PLR2004 - a share
        birthday = members.ProfileChange(birthday=_birthday(demo))
        members.update_profile(session, member_id, birthday, actor=me, now=joined + timedelta(minutes=3))
    if rng.random() < 0.85:  # noqa: PLR2004 - a share
        members.bind_phone(session, member_id, phone, actor=me, now=joined + timedelta(minutes=4))
    choices = [
        members.ConsentChoice("marketing", "2026-01", rng.random() < 0.7),  # noqa: PLR2004 - a share
        members.ConsentChoice("recommendations", "2026-01", rng.random() < 0.5),  # noqa: PLR2004 - a share
    ]
    members.declare_consents(session, member_id, choices, source="mini_program", actor=me, now=joined + timedelta(minutes=5))
    return member_id


def _celebrates_today(session: Session, demo: DemoContext, member_id: UUID, calendar: str, joined: datetime) -> None:
    today = business_date(demo.now, demo.core.settings.zone)
    # A leap month celebrates nobody.
    found = next((one for one in celebrated_on(today, LeapDayRule.DAY_BEFORE) if one.calendar == calendar), None)
    if found is not None:
        birthday = members.ProfileChange(birthday=Birthday(calendar, found.month, found.day))
        members.update_profile(session, member_id, birthday, actor=MemberActor(member_id), now=joined + timedelta(minutes=3))


def _birthday(demo: DemoContext) -> Birthday:
    rng = demo.rng
    born = date(1962, 1, 1) + timedelta(days=rng.randrange(44 * 365))
    if rng.random() < 0.12:  # noqa: PLR2004 - some were born within the days around now, so that greetings can be seen
        near = business_date(demo.now, demo.core.settings.zone) + timedelta(days=rng.randrange(0, 6))
        return Birthday("solar", near.month, min(near.day, 28), born.year)
    if rng.random() < 0.25:  # noqa: PLR2004 - a share
        return Birthday("lunar", rng.randrange(1, 13), rng.randrange(1, 30), None)
    return Birthday("solar", born.month, born.day, born.year if rng.random() < 0.7 else None)  # noqa: PLR2004 - a share


def _give_tier(session: Session, demo: DemoContext, member_id: UUID, joined: datetime) -> None:
    known = [tier.code for tier in tier_queries.definitions(session)]
    chance = demo.rng.random()
    place = next((place for share, place in _TIERS if chance < share), 0)
    if 0 < place < len(known):
        since = joined + (demo.now - joined) * demo.rng.random()
        tiers.assign(session, member_id, known[place], reason="demo", actor=demo.actor, now=since)
