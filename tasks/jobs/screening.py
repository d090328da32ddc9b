"""Content checks: WeChat is asked about pictures and about texts it could not judge at once, and its pushed answers are taken in.

Calls are made outside any transaction: claim and commit, call, write down and commit. A process that dies in between leaves a check
that is due again when its claim's lease ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from server.files import service as files
from server.flows import screening as flow
from server.members import queries as members
from server.notifications import service as notifications
from server.notifications.screening_templates import ContentRefused
from server.screening import queries, service
from server.screening.rules import PICTURE_SECONDS, Cause, State, Subject
from server.wechat.errors import WeChatMisconfiguredError, WeChatRejectedError, WeChatUnavailableError
from server.wechat.gateway import ContentScene

if TYPE_CHECKING:
    from server.bootstrap import Core
    from server.kernel.outbox import Event
    from server.screening.service import Claim

_log = structlog.get_logger("screening")
_BATCH = 20
_MOST_BATCHES = 10
_PROFILE = frozenset({Subject.NICKNAME.value, Subject.AVATAR.value})


def ask_wanted(core: Core, events: Sequence[Event]) -> None:
    """Ask about the pictures that were just handed in. Whichever is not asked about stays due by its own row."""
    _ask(core, [UUID(str(event.payload["check_id"])) for event in events])


def ask_due(core: Core, period: datetime) -> int:  # noqa: ARG001 - the same whenever it runs
    """Ask about what is due: calls that failed, answers that did not come, claims that were broken off.

    Returns:
        How many checks were looked at.
    """
    total = 0
    for _ in range(_MOST_BATCHES):
        with core.db.reading() as session:
            ids = queries.due(session, core.clock.now(), _BATCH)
        _ask(core, ids)
        total += len(ids)
        if len(ids) < _BATCH:
            break
    return total


def on_media_checked(session: Session, event: Event, core: Core) -> None:
    """Take in WeChat's pushed word on a picture; it may be told twice, and before its call was written down."""
    payload: dict[str, Any] = event.payload
    label = str(payload.get("label") or "")
    flow.take_answer(
        session,
        str(payload["trace_id"])[:80],
        suggestion=str(payload.get("suggest") or "review"),
        label=int(label) if label.isdecimal() else None,
        now=core.clock.now(),
    )


def on_content_refused(session: Session, event: Event, core: Core) -> None:
    """Tell the member politely that something is not shown, unless it was allowed meanwhile."""
    view = queries.find(session, UUID(str(event.payload["check_id"])))
    member_id = members.resolve(session, view.member_id)
    if member_id is None or view.decided_at is None or view.state not in {State.BLOCKED.value, State.REFUSED.value}:
        return
    said = {"why": view.reason} if view.reason else {}
    message = ContentRefused(ContentRefused.WORDS[view.subject], view.decided_at, **said)
    key = f"content_refused:{view.id}"
    notifications.request(session, member_id, message, key=key, now=core.clock.now(), occurred_at=event.occurred_at)


def _ask(core: Core, ids: Sequence[UUID]) -> None:
    for start in range(0, len(ids), _BATCH):
        part = ids[start : start + _BATCH]
        claims = core.db.run(partial(_claimed, ids=part, now=core.clock.now()))
        for claimed in claims:
            _ask_one(core, claimed)


def _claimed(session: Session, *, ids: Sequence[UUID], now: datetime) -> list[Claim]:
    return service.claim(session, ids, now=now)


def _ask_one(core: Core, claimed: Claim) -> None:
    with core.db.reading() as session:
        openid = members.openid_of(session, claimed.member_id, core.wechat.appid)
    if openid is None:
        _failed(core, claimed, Cause.NO_WECHAT)
        return
    scene = ContentScene.PROFILE if claimed.subject in _PROFILE else ContentScene.COMMENT
    try:
        if claimed.upload_id is not None:
            trace_id = core.wechat.check_image(openid, _address(core, claimed.upload_id), scene)
        else:
            verdict = core.wechat.check_text(openid, claimed.content or "", scene)
    except (WeChatUnavailableError, WeChatMisconfiguredError) as error:
        _log.warning("content_check_missed", code=error.code)
        _failed(core, claimed, Cause.UNREACHABLE)
        return
    except WeChatRejectedError as error:
        _log.warning("content_check_missed", code=error.code, errcode=error.errcode)
        _failed(core, claimed, Cause.NOT_CHECKABLE)
        return
    if claimed.upload_id is not None:
        core.db.run(lambda session: flow.note_asked(session, claimed, trace_id, now=core.clock.now()))
        return
    word, label = verdict.suggestion.value, verdict.label
    core.db.run(lambda session: flow.apply_verdict(session, claimed.check_id, suggestion=word, label=label, now=core.clock.now()))


def _failed(core: Core, claimed: Claim, cause: Cause) -> None:
    core.db.run(lambda session: service.note_failure(session, claimed, cause=cause, now=core.clock.now()))


def _address(core: Core, upload_id: UUID) -> str:
    path = files.signed_address(upload_id, secret_key=core.settings.secret_key, now=core.clock.now(), ttl_seconds=PICTURE_SECONDS)
    return f"{core.settings.base_url}{path}"
