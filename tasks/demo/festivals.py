"""Festivals of the demonstration: the big ones are celebrated, and the shop's anniversary was, some days ago."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING

from server.campaigns import festival_queries as queries
from server.campaigns import festivals
from server.campaigns.festival_rules import PRESETS, SOLAR, FestivalDay, FestivalPlan
from server.kernel.clock import business_date
from server.kernel.pagination import PageRequest
from tasks.demo.notifications import send_waiting

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from tasks.demo import DemoContext

_KEPT = {"new_years_eve": 0, "spring_festival": 188, "lantern": 0, "dragon_boat": 66, "qixi": 0, "mid_autumn": 88, "national_day": 100}
_DAYS_AGO = 6
_ANNIVERSARY = "anniversary"


def load(session: Session, demo: DemoContext) -> None:
    """Switch the festivals on and celebrate the anniversary; again it adds nothing."""
    zone = demo.core.settings.zone
    day = business_date(demo.now, zone) - timedelta(days=_DAYS_AGO)
    began = demo.now - timedelta(days=_DAYS_AGO + 3)
    if queries.festival(session, next(iter(_KEPT))).version:
        return
    for code, count in _KEPT.items():
        plan = replace(PRESETS[code], points=count, points_by_tier={"black": count * 2} if count else {})
        festivals.set_festival(session, code, plan, actor=demo.actor, now=began)
        # From now on only: the demonstration's books hold nothing of festivals that lie before it.
        festivals.switch(session, code, on=True, actor=demo.actor, reason="每年庆祝", now=demo.now)
    own = FestivalPlan("店庆", FestivalDay(SOLAR, month=day.month, day=day.day), "感谢一路相伴，店庆快乐")
    festivals.set_festival(session, _ANNIVERSARY, own, actor=demo.actor, now=began)
    festivals.switch(session, _ANNIVERSARY, on=True, actor=demo.actor, reason="每年庆祝", now=began)
    at = datetime.combine(day, time(10, 5), zone)
    for run_id in festivals.plan(session, now=at):
        while festivals.give_piece(session, run_id, actor=demo.actor, now=at) is not None:
            pass
        for gift in queries.gifts(session, run_id, PageRequest(limit=100)).items:
            send_waiting(session, demo, gift.member_id, at)
