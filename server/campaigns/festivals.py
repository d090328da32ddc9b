"""Commands of festivals: setting and switching them, planning their celebrations, and giving, a piece at a time."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.audit import service as audit
from server.campaigns import festival_rules as rules
from server.campaigns.errors import FestivalChangedError, FestivalInvalidError, FestivalNotRunningError, FestivalUnknownError
from server.campaigns.festival_rules import PRESETS, FestivalPlan, plan_of
from server.campaigns.models import Festival, FestivalGift, FestivalRun, FestivalVersion
from server.coupons import queries as coupon_queries
from server.coupons import service as coupons
from server.kernel.actors import Actor
from server.kernel.amounts import Points
from server.kernel.clock import business_date, end_of_day, start_of_day
from server.kernel.db import insert_if_absent, zone_of
from server.kernel.errors import DomainError
from server.kernel.ids import uuid7
from server.kernel.source import Source
from server.kernel.text import N_
from server.members import audience
from server.notifications import service as notifications
from server.notifications.festival_templates import FestivalGreeting
from server.points import service as points
from server.tiers import queries as tiers

PURPOSE = "marketing"
REASON = N_("Festival gift")
# Of its own, so that reports tell its coupons and points from those of birthdays.
_NAMESPACE = "festivals"
_CODE = 40
_NAME = 20
_LAST_HOUR = 23


def set_festival(
    session: Session, code: str, plan: FestivalPlan, *, actor: Actor, reason: str | None = None, expected: int | None = None, now: datetime
) -> int:
    """Say what a festival is and brings from now on; a celebration under way keeps the plan it began with.

    Arguments:
        session: of an open transaction.
        code: of one of the known festivals, or of one of the brand's own.
        plan: the whole of it.
        actor: who says so.
        reason: why.
        expected: the version the change was made on (0: none yet); None for whichever holds.
        now: present instant.

    Returns:
        The number of this version; that of the version before when nothing differs.

    Raises:
        FestivalInvalidError: the day is none, amounts are out of range, or there is no such coupon template.
        FestivalChangedError: another version holds than the one expected.
        FestivalTakenError: somebody made a festival of this code at the same time.
    """
    problems = _problems(session, code, plan)
    if problems:
        raise FestivalInvalidError(fields=problems)
    row = session.scalar(sa.select(Festival).where(Festival.code == code).with_for_update().execution_options(populate_existing=True))
    version = row.version if row is not None else 0
    if expected is not None and expected != version:
        raise FestivalChangedError
    document = asdict(plan)
    before = row.document if row is not None else None
    if row is not None and plan_of(row.document) == plan:
        return version
    if row is None:
        row = Festival(id=uuid7(), code=code, version=1, document=document, looked_until=None, updated_at=now)
        session.add(row)
    else:
        row.version, row.document, row.updated_at = version + 1, document, now
    session.flush()
    values = {"festival_id": row.id, "version": row.version, "document": document, "created_at": now, "created_by": actor.ref[:80]}
    session.add(FestivalVersion(id=uuid7(), **values))
    _record(session, "festival.set", code, actor, now, before=before, after=document, reason=reason)
    return row.version


def _problems(session: Session, code: str, plan: FestivalPlan) -> dict[str, str]:
    found = plan.day.problems()
    if not code or len(code) > _CODE or not code.replace("_", "").replace("-", "").isalnum() or not code.isascii():
        found["code"] = code
    if not 1 <= len(plan.name.strip()) <= (_NAME if code not in PRESETS else _CODE):
        found["name"] = f"1–{_NAME}"
    if not 1 <= len(plan.greeting.strip()) <= rules.MOST_GREETING:
        found["greeting"] = f"1–{rules.MOST_GREETING}"
    if any(not 0 <= amount <= rules.MOST_POINTS for amount in (plan.points, *plan.points_by_tier.values())):
        found["points"] = f"0–{rules.MOST_POINTS}"
    if not 1 <= plan.valid_days <= rules.MOST_DAYS:
        found["valid_days"] = f"1–{rules.MOST_DAYS}"
    if not 0 <= plan.send_from <= _LAST_HOUR:
        found["send_from"] = "0–23"
    for coupon in {plan.coupon_code, *plan.coupons_by_tier.values()} - {None, ""}:
        if coupon_queries.template_by_code(session, str(coupon)) is None:
            found["coupon_code"] = str(coupon)
    return found


def switch(session: Session, code: str, *, on: bool, actor: Actor, reason: str | None = None, now: datetime) -> None:
    """Switch a festival on, from today's celebration on, or off; off, what is under way goes on until it is stopped.

    What would have been celebrated while it was off is not made up for.

    Raises:
        FestivalUnknownError: there is none.
    """
    row = session.scalar(sa.select(Festival).where(Festival.code == code).with_for_update().execution_options(populate_existing=True))
    if row is None and code in PRESETS:
        set_festival(session, code, PRESETS[code], actor=actor, reason=reason, now=now)
        row = session.scalars(sa.select(Festival).where(Festival.code == code).with_for_update()).one()
    if row is None:
        raise FestivalUnknownError
    if (row.looked_until is not None) == on:
        return
    row.looked_until = business_date(now, zone_of(session)) - timedelta(days=1) if on else None
    row.updated_at = now
    session.flush()
    _record(session, "festival.start" if on else "festival.stop", code, actor, now, after={"enabled": on}, reason=reason)


def stop_run(session: Session, run_id: UUID, *, actor: Actor, reason: str | None = None, now: datetime) -> None:
    """Stop a celebration under way; whoever was given something keeps it, the others get nothing.

    Raises:
        FestivalNotRunningError: it is over, or there is none.
    """
    run = _held_run(session, run_id)
    if run is None or run.state != "running":
        raise FestivalNotRunningError
    run.state, run.ended_at = "stopped", now
    session.flush()
    _record(session, "festival.stop_run", str(run_id), actor, now, after={"given": run.given, "year": run.year}, reason=reason)


def plan(session: Session, *, now: datetime) -> list[UUID]:
    """Begin the celebrations that are due, and list those whose time to be made up for is over.

    A festival's own day begins at its hour; days before it, as after a standstill, at once.

    Returns:
        The celebrations that began.
    """
    today, zone = business_date(now, zone_of(session)), zone_of(session)
    begun = []
    due = sa.select(Festival).where(Festival.looked_until.is_not(None), Festival.looked_until < today).order_by(Festival.id)
    for row in session.scalars(due.with_for_update().execution_options(populate_existing=True)).all():
        wanted = plan_of(row.document)
        until = today if now >= start_of_day(today, zone) + timedelta(hours=wanted.send_from) else today - timedelta(days=1)
        if row.looked_until is None or row.looked_until >= until:
            continue
        begin, given_up = rules.to_plan(wanted.day, row.looked_until, until)
        last = session.scalar(sa.select(sa.func.max(FestivalRun.celebrated_on)).where(FestivalRun.festival_id == row.id))
        for one, state in [*((one, "given_up") for one in given_up), *((one, "running") for one in begin)]:
            if rules.too_close(one.on, last):
                continue
            run_id = uuid7()
            values = {
                "id": run_id,
                "festival_id": row.id,
                "year": one.year,
                "celebrated_on": one.on,
                "version": row.version,
                "document": row.document,
                "state": state,
                "after_id": None,
                "joined_before": now,
                "given": 0,
                "refused": 0,
                "started_at": now,
                "ended_at": now if state == "given_up" else None,
            }
            last = one.on
            if insert_if_absent(session, FestivalRun, values) and state == "running":
                begun.append(run_id)
        row.looked_until = until
    session.flush()
    return begun


def give_piece(session: Session, run_id: UUID, *, actor: Actor, now: datetime, limit: int = 100) -> int | None:
    """Give to the next members of a celebration; all of them, and the place where to go on, commit together.

    Returns:
        How many members were looked at, or None when the celebration is over.
    """
    run = _held_run(session, run_id)
    if run is None or run.state != "running":
        return None
    wanted = plan_of(run.document)
    ids = audience.page(session, PURPOSE, joined_before=run.joined_before, after=run.after_id, limit=limit)
    for member_id in ids:
        given = _give(session, run, wanted, member_id, actor, now)
        if given is not None:
            run.given, run.refused = run.given + given, run.refused + (not given)
    if ids:
        run.after_id = ids[-1]
    if len(ids) < limit:
        run.state, run.ended_at = "done", now
    session.flush()
    return len(ids)


def _held_run(session: Session, run_id: UUID) -> FestivalRun | None:
    statement = sa.select(FestivalRun).where(FestivalRun.id == run_id)
    return session.scalar(statement.with_for_update().execution_options(populate_existing=True))


def _give(session: Session, run: FestivalRun, wanted: FestivalPlan, member_id: UUID, actor: Actor, now: datetime) -> bool | None:
    """Give one member what the celebration brings; None when they had it."""
    gift_id = uuid7()
    values = {"id": gift_id, "run_id": run.id, "member_id": member_id, "points": 0, "coupon_id": None, "message_id": None}
    if not insert_if_absent(session, FestivalGift, values | {"problem": None, "given_at": now}):
        return None
    tier = tiers.of_member(session, member_id).code
    count, coupon_code = wanted.points_for(tier), wanted.coupon_for(tier)
    source = Source(_NAMESPACE, f"festival:{run.id}:{member_id}")
    until = run.celebrated_on + timedelta(days=wanted.valid_days)
    became: dict[str, object] = {}
    try:
        with session.begin_nested():
            if count:
                why = {"policy": "festival", "festival": wanted.name, "on": run.celebrated_on.isoformat(), "points": count}
                points.accrue(
                    session, member_id, Points(count), source=source, reason=REASON, actor=actor, now=now,
                    expires_at=end_of_day(until, zone_of(session)), details={"why": [why]},
                )  # fmt: skip
            said, coupon = [f"{count}积分"] if count else [], _coupon(session, member_id, coupon_code, source, actor, now)
            became = {"points": count, "coupon_id": coupon[0], "problem": coupon[2]}
            said += [coupon[1]] if coupon[1] else []
            greeting = FestivalGreeting(wanted.name, wanted.greeting, " + ".join(said), until if said else run.celebrated_on)
            # After a standstill it is old news, which goes to the inbox and wakes nobody.
            occurred_at = start_of_day(run.celebrated_on, zone_of(session)) + timedelta(hours=wanted.send_from)
            became["message_id"] = notifications.request(
                session, member_id, greeting, key=f"festival:{run.id}:{member_id}", now=now, occurred_at=min(occurred_at, now)
            )
    except DomainError as refusal:
        # One member's trouble is nobody else's, and their row tells it.
        became = {"problem": refusal.code[:40]}
    session.execute(sa.update(FestivalGift).where(FestivalGift.id == gift_id).values(**became))
    return "message_id" in became


def _coupon(
    session: Session, member_id: UUID, code: str | None, source: Source, actor: Actor, now: datetime
) -> tuple[UUID | None, str | None, str | None]:
    """Issue the coupon; return its id, its name, and why it was not to be had."""
    if code is None:
        return None, None, None
    template = coupon_queries.template_by_code(session, code)
    if template is None:
        return None, None, "coupon_template_not_found"
    try:
        with session.begin_nested():
            issued = coupons.issue(session, member_id, template.id, source=source, actor=actor, now=now, reason=REASON)
    except DomainError as refusal:
        return None, None, refusal.code[:40]
    return issued.id, issued.name, None


def merge_members(session: Session, from_id: UUID, into_id: UUID) -> int:
    """Let a member keep what a record that was joined into theirs got, so that no celebration is given twice."""
    had = set(session.scalars(sa.select(FestivalGift.run_id).where(FestivalGift.member_id == into_id)))
    moved = 0
    for gift in session.scalars(sa.select(FestivalGift).where(FestivalGift.member_id == from_id)).all():
        if gift.run_id not in had:
            gift.member_id, moved = into_id, moved + 1
    session.flush()
    return moved


def forget_member(session: Session, member_id: UUID) -> None:
    """Delete the record of what a leaving member got for festivals."""
    session.execute(sa.delete(FestivalGift).where(FestivalGift.member_id == member_id).execution_options(synchronize_session=False))


def _record(
    session: Session,
    action: str,
    subject: str,
    actor: Actor,
    now: datetime,
    *,
    before: dict[str, object] | None = None,
    after: dict[str, object] | None = None,
    reason: str | None = None,
) -> None:
    audit.record(
        session, actor=actor, action=action, subject_type="festival", subject_id=subject, before=before, after=after, reason=reason, now=now
    )


def next_days(plan_wanted: FestivalPlan, today: date, count: int) -> list[date]:
    """Return the next days of a festival, today among them."""
    found = rules.occurrences(plan_wanted.day, today, date(today.year + count + 1, 12, 31))
    return [one.on for one, _ in zip(found, range(count), strict=False)]
