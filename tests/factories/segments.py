"""Segments, for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from server.kernel.pagination import PageRequest
from server.rosters import queries as rosters
from server.segments import service
from server.segments.rules import Condition, Fact, Group, Rule, Test
from tests.factories.coupons import STAFF

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.bootstrap import Core


def one_of(fact: Fact, *values: str, **more: Any) -> Condition:
    return Condition(fact, Test.ONE_OF, values, **more)


def at_least(fact: Fact, number: int, **more: Any) -> Condition:
    return Condition(fact, Test.AT_LEAST, number=number, **more)


def at_most(fact: Fact, number: int, **more: Any) -> Condition:
    return Condition(fact, Test.AT_MOST, number=number, **more)


def within(fact: Fact, number: int, **more: Any) -> Condition:
    return Condition(fact, Test.WITHIN, number=number, **more)


def beyond(fact: Fact, number: int, **more: Any) -> Condition:
    return Condition(fact, Test.BEYOND, number=number, **more)


def all_of(*conditions: Condition) -> Rule:
    return Rule((Group(conditions),))


def a_segment(session: Session, rule: Rule, *, now: datetime, code: str = "some", **more: Any) -> UUID:
    """Write a segment; its list is not built."""
    draft = service.SegmentDraft(code, more.pop("name", "一些会员"), rule, "for the test", **more)
    return service.save(session, draft, actor=STAFF, now=now)


def build(core: Core, code: str = "some", *, size: int = 50_000) -> list[UUID]:
    """Build a segment's list to its end and return who is in it."""
    while core.db.run(lambda session: service.build_step(session, code, now=core.clock.now(), size=size)):
        pass
    with core.db.reading() as session:
        return list(rosters.members(session, code, PageRequest(100)).items)
