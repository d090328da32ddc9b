"""Commands of campaigns: what the brand gives for birthdays, and giving it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.audit import service as audit
from server.campaigns import festivals, queries, rules
from server.campaigns.errors import PolicyChangedError, PolicyInvalidError
from server.campaigns.models import BirthdayDay, BirthdayGift, BirthdayPolicyVersion
from server.campaigns.rules import BirthdayPolicy, Celebration
from server.coupons import queries as coupon_queries
from server.coupons import service as coupons
from server.kernel.actors import Actor
from server.kernel.amounts import Points
from server.kernel.clock import end_of_day
from server.kernel.db import insert_if_absent, zone_of
from server.kernel.errors import DomainError
from server.kernel.ids import uuid7
from server.kernel.source import Source
from server.kernel.text import N_
from server.members import queries as members
from server.notifications import service as notifications
from server.notifications.templates import BirthdayGreeting
from server.points import service as points
from server.tiers import queries as tiers

BIRTHDAY_REASON = N_("Birthday gift")
_MOST_POINTS = 1_000_000
_MOST_DAYS = 366
_NAMESPACE = "campaigns"
_NO_NICKNAME = "亲爱的会员"
_GREETING = "生日祝福"


@dataclass(frozen=True, slots=True)
class _Gift:
    entry_id: UUID | None = None
    coupon_id: UUID | None = None
    coupon_problem: str | None = None
    coupon_name: str | None = None


def set_birthday_policy(
    session: Session, policy: BirthdayPolicy, *, actor: Actor, reason: str | None = None, expected: int | None = None, now: datetime
) -> int:
    """Say what the brand gives for birthdays from now on.

    Arguments:
        session: of an open transaction.
        policy: the whole of it.
        actor: who says so.
        reason: why.
        expected: the version the change was made on; None for whichever holds.
        now: present instant.

    Returns:
        The number of this version; that of the version before when nothing differs.

    Raises:
        PolicyInvalidError: amounts out of range, or no such coupon template.
        PolicyChangedError: another version holds than the one expected.
    """
    problems = {}
    amounts = [policy.points, *policy.points_by_tier.values()]
    if any(not 0 <= amount <= _MOST_POINTS for amount in amounts):
        problems["points"] = f"0–{_MOST_POINTS}"
    if not 1 <= policy.valid_days <= _MOST_DAYS:
        problems["valid_days"] = f"1–{_MOST_DAYS}"
    if policy.coupon_code is not None and coupon_queries.template_by_code(session, policy.coupon_code) is None:
        problems["coupon_code"] = policy.coupon_code
    if problems:
        raise PolicyInvalidError(fields=problems)
    before = queries.birthday_policy(session)
    version = int(session.scalar(sa.select(sa.func.max(BirthdayPolicyVersion.version))) or 0)
    if expected is not None and expected != version:
        raise PolicyChangedError
    if version and before == policy:
        return version
    document = asdict(policy) | {"leap_day": policy.leap_day.value}
    session.add(BirthdayPolicyVersion(id=uuid7(), version=version + 1, document=document, created_at=now, created_by=actor.ref[:80]))
    session.flush()
    audit.record(
        session,
        actor=actor,
        action="birthday_policy.set",
        subject_type="birthday_policy",
        subject_id=str(version + 1),
        before=asdict(before) | {"leap_day": before.leap_day.value} if version else None,
        after=document,
        reason=reason,
        now=now,
    )
    return version + 1


def give_birthday_gift(
    session: Session,
    member_id: UUID,
    celebration: Celebration,
    *,
    celebrated_on: date,
    policy: BirthdayPolicy,
    actor: Actor,
    now: datetime,
) -> bool:
    """Give a member what the brand gives for this birthday, once.

    A coupon that cannot be had (sold out, paused) is noted and holds up neither points nor greeting.

    Arguments:
        session: of a transaction of its own.
        member_id: whose birthday it is.
        celebration: the birthday, with the year of its calendar.
        celebrated_on: the day.
        policy: what is given.
        actor: who gives.
        now: present instant.

    Returns:
        False when the member had it, or a gift lies too short back.
    """
    member = members.find(session, member_id)
    if member is None or member.status != "active":
        return False
    # Under this lock nobody gives for a birthday of the other calendar, which no key of the gift would keep out.
    points.open_account(session, member_id, now=now)
    if rules.too_soon(queries.last_gift_on(session, member_id), celebrated_on):
        return False
    gift_id = uuid7()
    tier = tiers.of_member(session, member_id)
    count = policy.points_for(tier.code)
    values = {
        "id": gift_id,
        "member_id": member_id,
        "year": celebration.year,
        "calendar": celebration.calendar,
        "celebrated_on": celebrated_on,
        "points": count,
        "entry_id": None,
        "coupon_id": None,
        "coupon_problem": None,
        "given_at": now,
    }
    # First of all: whoever inserts this row gives, and anybody else waits here and then finds it.
    if not insert_if_absent(session, BirthdayGift, values):
        return False
    key = f"birthday:{member_id}:{celebration.calendar}:{celebration.year}"
    source = Source(_NAMESPACE, key)
    until = celebrated_on + timedelta(days=policy.valid_days)
    entry_id = None
    if count:
        why = {"policy": "birthday", "on": celebrated_on.isoformat(), "tier": tier.name, "points": count}
        entry_id = points.accrue(
            session,
            member_id,
            Points(count),
            source=source,
            reason=BIRTHDAY_REASON,
            actor=actor,
            now=now,
            expires_at=end_of_day(until, zone_of(session)),
            details={"why": [why]},
        ).id
    coupon = _coupon(session, member_id, policy, source, actor, now)
    session.execute(
        sa.update(BirthdayGift)
        .where(BirthdayGift.id == gift_id)
        .values(entry_id=entry_id, coupon_id=coupon.coupon_id, coupon_problem=coupon.coupon_problem)
    )
    said = [f"{count}积分"] if count else []
    said += [coupon.coupon_name] if coupon.coupon_name else []
    greeting = BirthdayGreeting(member.nickname or _NO_NICKNAME, " + ".join(said) or _GREETING, until)
    notifications.request(session, member_id, greeting, key=key, now=now)
    return True


def _coupon(session: Session, member_id: UUID, policy: BirthdayPolicy, source: Source, actor: Actor, now: datetime) -> _Gift:
    if policy.coupon_code is None:
        return _Gift()
    template = coupon_queries.template_by_code(session, policy.coupon_code)
    if template is None:
        return _Gift(coupon_problem="coupon_template_not_found")
    try:
        with session.begin_nested():
            issued = coupons.issue(session, member_id, template.id, source=source, actor=actor, now=now, reason=BIRTHDAY_REASON)
    except DomainError as refusal:
        return _Gift(coupon_problem=refusal.code[:40])
    return _Gift(coupon_id=issued.id, coupon_name=issued.name)


def finish_day(session: Session, day: date, *, now: datetime) -> None:
    """Note that all birthdays of a day are celebrated."""
    insert_if_absent(session, BirthdayDay, {"id": uuid7(), "day": day, "done_at": now})


def merge_members(session: Session, from_id: UUID, into_id: UUID, *, now: datetime) -> int:  # noqa: ARG001 - as every domain's
    """Let a member keep the gifts of a record that was joined into theirs, so that no birthday's or festival's is given again.

    Returns:
        How many gifts were moved.
    """
    had = {(gift.calendar, gift.year) for gift in session.scalars(sa.select(BirthdayGift).where(BirthdayGift.member_id == into_id))}
    moved = 0
    for gift in session.scalars(sa.select(BirthdayGift).where(BirthdayGift.member_id == from_id)).all():
        if (gift.calendar, gift.year) not in had:
            gift.member_id = into_id
            moved += 1
    session.flush()
    return moved + festivals.merge_members(session, from_id, into_id)


def forget_member(session: Session, member_id: UUID, *, actor: Actor, now: datetime) -> int:  # noqa: ARG001 - the agreed signature
    """Delete the record of a leaving member's birthdays and festivals; return how many birthdays there were."""
    festivals.forget_member(session, member_id)
    result: Any = session.execute(
        sa.delete(BirthdayGift).where(BirthdayGift.member_id == member_id).execution_options(synchronize_session=False)
    )
    return int(result.rowcount)
