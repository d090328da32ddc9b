"""Canned replies and settings of the service desk."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from server.feedback import desk_queries, desk_service, queries
from server.feedback.errors import CannedReplyNotFoundError, CannedReplyTitleTakenError, TicketInvalidError
from server.kernel.ids import uuid7
from tests.conftest import START as NOW
from tests.factories.feedback import a_caller, a_ticket, an_agent

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.bootstrap import Core


def test_a_canned_reply_is_added_changed_and_put_away(session: Session) -> None:
    agent = an_agent()
    added = desk_service.add_canned_reply(session, title="致歉", content=" 非常抱歉 ", category="logistics", actor=agent, now=NOW)
    assert [reply.content for reply in desk_queries.canned_replies(session)] == ["非常抱歉"]
    desk_service.change_canned_reply(session, added.id, title="致歉", content="对不起", category=None, active=False, actor=agent, now=NOW)
    assert desk_queries.canned_replies(session) == []
    assert desk_queries.canned_replies(session, active_only=False)[0].content == "对不起"


def test_two_canned_replies_cannot_share_a_title(session: Session) -> None:
    desk_service.add_canned_reply(session, title="致歉", content="一", actor=an_agent(), now=NOW)
    with pytest.raises(CannedReplyTitleTakenError):
        desk_service.add_canned_reply(session, title="致歉", content="二", actor=an_agent(), now=NOW)


def test_a_title_taken_by_a_change_is_named_at_the_commit(core: Core) -> None:
    first = core.db.run(lambda s: desk_service.add_canned_reply(s, title="一", content="一", actor=an_agent(), now=NOW))
    core.db.run(lambda s: desk_service.add_canned_reply(s, title="二", content="二", actor=an_agent(), now=NOW))
    with pytest.raises(CannedReplyTitleTakenError):
        core.db.run(
            lambda s: desk_service.change_canned_reply(
                s, first.id, title="二", content="一", category=None, active=True, actor=an_agent(), now=NOW
            )
        )


@pytest.mark.parametrize("wrong", [{"title": " "}, {"title": "x" * 81}, {"content": ""}, {"category": "x"}])
def test_a_canned_reply_that_cannot_be_is_refused(session: Session, wrong: dict[str, str]) -> None:
    with pytest.raises(TicketInvalidError):
        desk_service.add_canned_reply(session, **{"title": "a", "content": "b", **wrong}, actor=an_agent(), now=NOW)
    with pytest.raises(CannedReplyNotFoundError):
        desk_queries.canned_reply(session, uuid7())


def test_settings_are_kept_bounded_and_followed(session: Session, core: Core) -> None:
    desk_service.change_settings(session, {"reopen_window_days": 3, "first_response_hours.normal": 2}, actor=an_agent(), now=NOW)
    desk_service.change_settings(session, {"reopen_window_days": 5}, actor=an_agent(), now=NOW)
    desk_service.change_settings(session, {"reopen_window_days": 5}, actor=an_agent(), now=NOW)
    assert queries.stored_settings(session) == {"reopen_window_days": 5, "first_response_hours.normal": 2}
    for wrong in ({"reopen_window_days": 91}, {"nonsense": 1}):
        with pytest.raises(TicketInvalidError):
            desk_service.change_settings(session, wrong, actor=an_agent(), now=NOW)
    session.commit()
    assert a_ticket(session, a_caller(core), now=NOW).next_due_at == NOW + timedelta(hours=2)
