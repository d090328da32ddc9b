"""A member's messages, what they want to hear of, and the templates to ask them for."""

from __future__ import annotations

from datetime import datetime, time
from typing import Annotated, Literal
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response, request
from flask_babel import gettext
from pydantic import Field
from sqlalchemy.orm import Session

from miniprogram_api import context
from miniprogram_api.auth import member_required
from miniprogram_api.idempotent import KeyRequiredError, json_response, run_command
from miniprogram_api.schemas import Input, Output, PageOut, PageQuery
from server.kernel.pagination import PageRequest
from server.notifications import queries, service
from server.notifications.queries import InboxMessage, Preferences
from server.notifications.templates import spoken

bp = APIBlueprint("v1_messages", __name__, url_prefix="/api/v1", tag="Messages")

_CLOCK = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"
_MOST_RESULTS = 10


class MessagesQuery(PageQuery):
    """Which page, and whether only what was not read."""

    unread: bool = False


class MessageOut(Output):
    """One message of the inbox."""

    id: UUID
    code: str = Field(description="kind of message")
    topic: str
    title: str
    body: str
    page: str = Field(description="path in the mini-program that shows what it is about")
    read_at: datetime | None
    created_at: datetime


class MessagePageOut(PageOut[MessageOut]):
    """A page of the inbox and how much of all of it was not read."""

    unread: int


class ReadOut(Output):
    """How much is left to read."""

    unread: int


class AskedQuery(Input):
    """Where in the mini-program the member is."""

    moment: str | None = Field(default=None, max_length=40, description="order_paid, check_in, coupon_claimed, ticket_opened…")


class AskedOut(Output):
    """A template to ask for with ``wx.requestSubscribeMessage``."""

    template_id: str
    code: str
    title: str
    available: int = Field(description="acceptances in hand")


class AskedListOut(Output):
    """At most three templates, the scarcest first."""

    moment: str | None
    items: list[AskedOut]


class GrantsIn(Input):
    """What ``wx.requestSubscribeMessage`` returned: template id → answer."""

    results: Annotated[
        dict[str, Literal["accept", "acceptWithAudio", "reject", "ban", "filter"]], Field(min_length=1, max_length=_MOST_RESULTS)
    ]


class GrantOut(Output):
    """What became of one answer."""

    template_id: str
    code: str
    credited: bool = Field(description="false when WeChat's own event credits it")


class GrantsOut(Output):
    """What became of the answers."""

    items: list[GrantOut]


class QuietHoursModel(Input):
    """When offers wait, on the shop's clock; equal times mean never."""

    from_: str = Field(alias="from", pattern=_CLOCK, examples=["22:00"])
    until: str = Field(pattern=_CLOCK, examples=["08:00"])


class ChoiceIn(Input):
    """One choice."""

    topic: str = Field(max_length=16)
    channel: str = Field(max_length=16)
    allowed: bool


class PreferencesIn(Input):
    """Choices to change; what is left out stays."""

    quiet_hours: QuietHoursModel | None = Field(default=None, description="null goes back to the default")
    topics: list[ChoiceIn] = Field(default_factory=list, max_length=50)


class ChoiceOut(Output):
    """Whether a topic comes over a channel."""

    topic: str
    name: str
    channel: str
    allowed: bool
    required: bool = Field(description="cannot be switched off")


class PreferencesOut(Output):
    """All choices."""

    quiet_hours: dict[str, str] | None = Field(description="null while the default, 22:00 to 08:00, holds")
    topics: list[ChoiceOut]


@bp.get("/messages")
@member_required
@bp.input(MessagesQuery, location="query", arg_name="query")
@bp.doc(summary="List the inbox, newest first")
@bp.output(MessagePageOut)
def list_messages(query: MessagesQuery) -> Response:
    """List the inbox, newest first."""
    member_id = context.member_id()
    with context.core().db.reading() as session:
        page = queries.inbox(session, member_id, PageRequest.of(query.limit, query.cursor), unread_only=query.unread).map(_message)
        left = queries.unread(session, member_id)
    return json_response(MessagePageOut(items=list(page.items), next_cursor=page.next_cursor, unread=left))


def _message(message: InboxMessage) -> MessageOut:
    texts = spoken(queries.template_class(message.code), message.texts, gettext)
    return MessageOut(
        id=message.id,
        code=message.code,
        topic=message.topic,
        title=gettext(message.title),
        body=gettext(message.body, **texts),
        page=message.page,
        read_at=message.read_at,
        created_at=message.created_at,
    )


@bp.post("/messages/<uuid:message_id>/read")
@member_required
@bp.doc(summary="Mark a message as read; again is fine")
@bp.output(ReadOut)
def read_message(message_id: UUID) -> Response:
    """Mark a message as read; again is fine."""

    def work(session: Session) -> tuple[int, ReadOut]:
        service.mark_read(session, context.member_id(), message_id, now=context.now())
        return 200, ReadOut(unread=queries.unread(session, context.member_id()))

    return run_command(work, key_required=False)


@bp.post("/messages/read")
@member_required
@bp.doc(summary="Mark everything as read")
@bp.output(ReadOut)
def read_all_messages() -> Response:
    """Mark everything as read."""

    def work(session: Session) -> tuple[int, ReadOut]:
        service.mark_all_read(session, context.member_id(), now=context.now())
        return 200, ReadOut(unread=0)

    return run_command(work, key_required=False)


@bp.get("/subscribe-templates")
@member_required
@bp.input(AskedQuery, location="query", arg_name="query")
@bp.doc(summary="Tell which templates to ask for at this moment; an empty list means: do not ask now")
@bp.output(AskedListOut)
def list_asked_templates(query: AskedQuery) -> Response:
    """Tell which templates to ask for at this moment; an empty list means: do not ask now."""
    with context.core().db.reading() as session:
        asked = queries.asked_templates(session, context.member_id(), query.moment)
    items = [AskedOut(template_id=item.template_id, code=item.code, title=gettext(item.title), available=item.available) for item in asked]
    return json_response(AskedListOut(moment=query.moment, items=items))


@bp.post("/subscribe-grants")
@member_required
@bp.input(GrantsIn, location="json", arg_name="body")
@bp.doc(summary="Report the member's answers")
@bp.output(GrantsOut)
def report_grants(body: GrantsIn) -> Response:
    """Report the member's answers.

    Acceptances are credited by WeChat's own event, which cannot be made up; this report only tells to expect one. Where a brand has no
    server push, ``HUIBAN_GRANT_SOURCE=page`` makes the report itself count, and then an ``Idempotency-Key`` is required.
    """
    by_page = context.core().settings.grant_source == "page"
    key = request.headers.get("Idempotency-Key")
    if by_page and not key:
        raise KeyRequiredError
    member_id = context.member_id()

    def work(session: Session) -> tuple[int, GrantsOut]:
        items = []
        for template_id, answer in body.results.items():
            code = queries.code_of(session, template_id)
            if code is None:
                continue
            credited = by_page and answer.startswith("accept")
            if credited:
                event_key = f"page:{member_id}:{str(key)[:90]}:{code}"
                credited = service.credit_grant(session, member_id, code, event_key=event_key, now=context.now())
            items.append(GrantOut(template_id=template_id, code=code, credited=credited))
        return 200, GrantsOut(items=items)

    return run_command(work, key_required=False)


@bp.get("/me/notification-preferences")
@member_required
@bp.doc(summary="Show what the member hears of, and over which channel")
@bp.output(PreferencesOut)
def show_preferences() -> Response:
    """Show what the member hears of, and over which channel."""
    with context.core().db.reading() as session:
        found = queries.preferences(session, context.member_id())
    return json_response(_preferences(found))


@bp.put("/me/notification-preferences")
@member_required
@bp.input(PreferencesIn, location="json", arg_name="body")
@bp.doc(summary="Change choices; what is left out stays as it is")
@bp.output(PreferencesOut)
def change_preferences(body: PreferencesIn) -> Response:
    """Change choices; what is left out stays as it is."""
    member_id = context.member_id()

    def work(session: Session) -> tuple[int, PreferencesOut]:
        now = context.now()
        for choice in body.topics:
            service.choose(session, member_id, choice.topic, choice.channel, allowed=choice.allowed, now=now)
        if "quiet_hours" in body.model_fields_set:
            hours = body.quiet_hours
            chosen = (time.fromisoformat(hours.from_), time.fromisoformat(hours.until)) if hours else None
            service.choose_quiet_hours(session, member_id, chosen, now=now)
        return 200, _preferences(queries.preferences(session, member_id))

    return run_command(work, key_required=False)


def _preferences(found: Preferences) -> PreferencesOut:
    quiet = {"from": f"{found.quiet[0]:%H:%M}", "until": f"{found.quiet[1]:%H:%M}"} if found.quiet else None
    choices = [
        ChoiceOut(topic=item.topic, name=gettext(item.topic_name), channel=item.channel, allowed=item.allowed, required=item.required)
        for item in found.items
    ]
    return PreferencesOut(quiet_hours=quiet, topics=choices)
