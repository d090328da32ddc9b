"""What a content check's end does to the thing it was about, in one transaction with the end itself.

A nickname that waits is set when it is let pass; an avatar that is refused is taken off; a refused text of a ticket disappears from its
list. Pictures and messages are hidden where they are read, by how their check stands.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import UUID

from server.feedback import service as feedback
from server.kernel.actors import SystemActor
from server.members import queries as member_queries
from server.members import service as members
from server.members.errors import MemberNotFoundError
from server.screening import queries, service
from server.screening.rules import State, Subject

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor
    from server.screening.queries import CheckView
    from server.screening.rules import Screened
    from server.screening.service import Claim

_CHECK = SystemActor("screening")


@dataclass(frozen=True, slots=True)
class Submitted:
    """A profile after a change, and the nickname that waits to be let pass, if one does."""

    outcome: members.ProfileOutcome
    nickname_pending: str | None


def submit_profile(
    session: Session, member_id: UUID, change: members.ProfileChange, *, nickname: Screened, actor: Actor, now: datetime
) -> Submitted:
    """Change a member's own profile; a nickname that did not pass is held back, and the present one stays until it does.

    Arguments:
        session: of the edge's transaction.
        member_id: whose profile.
        change: as ``members.update_profile`` takes it.
        nickname: what the check of the new nickname brought; ``PASSED`` where none was sent.
        actor: the member.
        now: present instant.

    Raises:
        MemberNotFoundError, BirthdayInvalidError, ChangePendingError: as ``members.update_profile``.
    """
    text = change.nickname
    if isinstance(text, str) and not nickname.passed:
        change = replace(change, nickname=members.UNSET)
    outcome = members.update_profile(session, member_id, change, actor=actor, now=now)
    if isinstance(text, str):
        service.note_text(session, Subject.NICKNAME, member_id, member_id=member_id, content=text, screened=nickname, now=now)
    elif text is None:
        service.drop_open(session, Subject.NICKNAME, member_id, now=now)
    return Submitted(outcome, queries.pending_text(session, Subject.NICKNAME, member_id))


def set_avatar(session: Session, member_id: UUID, upload_id: UUID | None, *, actor: Actor, now: datetime) -> None:
    """Set a member's own avatar, seen by the member at once and by others when its check has passed.

    Raises:
        MemberNotFoundError: there is no such member.
        UploadNotFoundError: not the member's own upload.
    """
    members.update_profile(session, member_id, members.ProfileChange(avatar_upload_id=upload_id), actor=actor, now=now)
    if upload_id is not None:
        service.note_image(session, Subject.AVATAR, upload_id, member_id=member_id, now=now)


def decide(
    session: Session, check_id: UUID, *, allow: bool, reason: str | None, expected_version: int | None = None, actor: Actor, now: datetime
) -> CheckView:
    """Let a person decide, and carry it out.

    Raises:
        CheckReasonMissingError, CheckNotFoundError, CheckDecidedError: as ``screening.decide``.
    """
    view = service.decide(session, check_id, allow=allow, reason=reason, expected_version=expected_version, actor=actor, now=now)
    _carry_out(session, view, now)
    return view


def take_answer(session: Session, trace_id: str, *, suggestion: str, label: int | None, now: datetime) -> CheckView | None:
    """Take in WeChat's pushed word on a picture and carry it out. See ``screening.take_answer``."""
    return _carried_out(session, service.take_answer(session, trace_id, suggestion=suggestion, label=label, now=now), now)


def note_asked(session: Session, claimed: Claim, trace_id: str, *, now: datetime) -> CheckView | None:
    """Write down that WeChat took a picture in, and carry its answer out should it have come first."""
    return _carried_out(session, service.note_asked(session, claimed, trace_id, now=now), now)


def apply_verdict(session: Session, check_id: UUID, *, suggestion: str, label: int | None, now: datetime) -> CheckView | None:
    """Go on by WeChat's word on a text that was asked about again, and carry it out."""
    return _carried_out(session, service.apply_verdict(session, check_id, suggestion=suggestion, label=label, now=now), now)


def _carried_out(session: Session, view: CheckView | None, now: datetime) -> CheckView | None:
    if view is not None:
        _carry_out(session, view, now)
    return view


def _carry_out(session: Session, view: CheckView, now: datetime) -> None:
    shown = view.state in {State.PASSED.value, State.ALLOWED.value}
    hidden = view.state in {State.BLOCKED.value, State.REFUSED.value}
    subject = Subject(view.subject)
    if subject is Subject.NICKNAME and shown and view.content:
        _change(session, view.subject_id, members.ProfileChange(nickname=view.content), now)
    if subject is Subject.AVATAR and hidden:
        member = member_queries.find(session, view.member_id)
        if member is not None and member.avatar_upload_id == view.subject_id:
            _change(session, view.member_id, members.ProfileChange(avatar_upload_id=None), now)
    if subject is Subject.AVATAR and view.state == State.ALLOWED.value:
        member = member_queries.find(session, view.member_id)
        # It was taken off when WeChat refused it; whoever chose another one meanwhile keeps that.
        if member is not None and member.avatar_upload_id is None:
            _change(session, view.member_id, members.ProfileChange(avatar_upload_id=view.subject_id), now)
    if subject is Subject.TICKET_MESSAGE and hidden:
        feedback.hide_message(session, view.subject_id)


def _change(session: Session, member_id: UUID, change: members.ProfileChange, now: datetime) -> None:
    try:
        members.update_profile(session, member_id, change, actor=_CHECK, now=now)
    except MemberNotFoundError:
        # Merged or leaving: the decision stands, and there is nobody left to carry it out on.
        return
