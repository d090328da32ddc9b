"""Console pages of messages: what was sent, why not, and what a person has to decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import abort, request
from flask_babel import gettext

from admin.base import ConsoleView, action, console_url_or_none, core, current_actor, now, page
from admin.detail import DetailPage, Field, Moment, Panel, Section
from admin.export import export_list
from admin.listing import Column, Filter, ListPage, RowAction, Table, read_filters
from admin.views.channel_words import CHANNELS, moment_of, previews, provider_name
from admin.views.message_card import PAGE, card
from admin.views.message_flow import WINDOWS, FlowPage, window_asked
from admin.views.message_words import LABELS, REASONS, STATES, message_label, reason_text
from server.kernel.pagination import PageRequest
from server.kernel.text import N_
from server.members import queries as members
from server.notifications import attempts, fields, queries, service
from server.notifications.queries import MessageFilter, MessageView
from server.notifications.rules import Channel, Decision
from server.notifications.templates import TOPIC_NAMES, MessageTemplate, Topic, spoken
from server.reporting import messages
from server.staff.permissions import Permission

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue
    from markupsafe import Markup
    from sqlalchemy.orm import Session

_UNCERTAIN_SHOWN = 20
_NEWEST = PageRequest(limit=_UNCERTAIN_SHOWN)


class MessagesView(ConsoleView):
    """The flow of messages, its figures, every message, and the uncertain ones that a person decides."""

    slug = "messages"
    title = N_("Messages")
    group = "reach"
    icon = "message-square-text"
    order = 10
    permission = Permission.MESSAGES_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """Show what became of the messages of a day, a week or a month, and what waits now."""
        at, within = now(), window_asked()
        with self.reading() as session:
            found = messages.flow(session, WINDOWS[within].span, now=at)
            standing = messages.waiting(session, now=at)
            undecided = queries.messages(session, MessageFilter(state="uncertain"), _NEWEST)
            names = _names(session, undecided.items)
        page_parts = FlowPage(self, within, found, standing, at)
        return page_parts.render(self._table(undecided.items, names, short=True))

    @page("/all")
    def list_all(self) -> ResponseReturnValue:
        """List every message."""
        return self._list(PageRequest.of(20, self.cursor)).render(self)

    @action("/export", Permission.EXPORTS_CREATE)
    def export(self) -> ResponseReturnValue:
        """Download what the list shows."""
        return export_list("messages", self._list)

    def _list(self, place: PageRequest) -> ListPage:
        filters = [
            Filter("state", N_("State"), "choice", {code: tag.label for code, tag in STATES.items()}),
            Filter("template", N_("Message"), "choice", LABELS),
            Filter("reason", N_("Reason"), "choice", REASONS),
            Filter("within", N_("Made within"), "choice", {code: window.label for code, window in WINDOWS.items()}),
            Filter("made", N_("Made on"), "date_range"),
        ]
        asked = read_filters(filters)
        since, until = asked.dates("made")
        within = asked.choice("within")
        if within:
            # The whole hours that the page of the flow sums up, so that its numbers and this list are of the same messages.
            begins = messages.hour_of(now()) + messages.HOUR - WINDOWS[within].span
            since = max(since, begins) if since else begins
        wanted = MessageFilter(
            state=asked.choice("state"), template=asked.choice("template"), reason=asked.choice("reason"), since=since, until=until
        )
        with self.reading() as session:
            found = queries.messages(session, wanted, place)
            names = _names(session, found.items)
        return ListPage(N_("All messages"), self._table(found.items, names), filters, asked, found.next_cursor, export=True)

    def _table(self, rows: Any, names: dict[UUID, str], *, short: bool = False) -> Table:
        return Table(
            [
                Column(
                    N_("Message"), lambda row: message_label(row.template), "link",
                    href=lambda row: self.url_to("detail", message_id=row.id),
                    second=None if short else lambda row: gettext(row.title),
                ),
                Column(
                    N_("Member"), lambda row: names.get(row.member_id) or gettext("Without a nickname"), "link",
                    href=lambda row: console_url_or_none("members.detail", member_id=row.member_id),
                ),
                Column(N_("State"), "state", "tag", tags=STATES),
                *([] if short else [Column(N_("Channel"), "channel", "tag", tags=CHANNELS)]),
                Column(N_("Reason"), lambda row: reason_text(row.reason)),
                Column(N_("Made at"), "created_at", "minute"),
                *([] if short else [Column(N_("Calls"), "attempts", "number", tip=N_("How often WeChat was called."))]),
                *([] if short else [Column(N_("Pushed at"), "sent_at", "minute")]),
            ],
            rows,
            lambda row: [RowAction(N_("Details"), self.url_to("detail", message_id=row.id)), *self._decisions(row)],
            empty=N_("No messages match"),
        )  # fmt: skip

    def _decisions(self, row: MessageView) -> list[RowAction]:
        if row.state != "uncertain":
            return []
        return [
            RowAction(
                N_("Take as sent"), self.url_to("mark_sent", message_id=row.id), Permission.MESSAGES_DECIDE, post=True, reason=True,
                confirm=N_("Do this when the member or WeChat's console shows that it arrived."),
            ),
            RowAction(
                N_("Give up"), self.url_to("give_up", message_id=row.id), Permission.MESSAGES_DECIDE, post=True, reason=True,
                tone="danger", confirm=N_("It is not sent again; the member still finds it in the inbox."),
            ),
            RowAction(
                N_("Send again"), self.url_to("send_again", message_id=row.id), Permission.MESSAGES_DECIDE, post=True, reason=True,
                confirm=N_("Do this only when the member did not get it: whoever did would be disturbed twice."),
            ),
        ]  # fmt: skip

    @page("/<message_id>")
    def detail(self, message_id: str) -> ResponseReturnValue:
        """Show one message and its way."""
        with self.reading() as session:
            found = queries.find(session, self.uuid(message_id))
            if found is None:
                abort(404)
            names = _names(session, [found])
            chosen = {one.code: one for one in queries.templates(session)}[found.template]
            tried = attempts.of_message(session, found.id)
        template = queries.template_class(found.template)
        when = fields.moment(found.sent_at or found.created_at, core().settings.zone)
        body = gettext(found.body, **spoken(template, found.texts, gettext))
        way = [Moment(found.created_at, N_("Made"))]
        way += [moment_of(one, reason_text(one.reason)) for one in tried]
        # What was sent before attempts were written down has only this.
        way += [Moment(found.sent_at, N_("Taken in by WeChat"))] if found.sent_at and not tried else []
        told = any(one.outcome == "delivered" for one in tried)
        way += [Moment(found.delivered_at, N_("Arrived"), tone="green")] if found.delivered_at and not told else []
        way += [Moment(found.read_at, N_("Read in the inbox"))] if found.read_at else []
        return DetailPage(
            title=message_label(found.template),
            subtitle=gettext(found.title),
            tags=[STATES[found.state]],
            back=(N_("All messages"), self.url_to("list_all")),
            buttons=self._decisions(found),
            sections=[
                Section(
                    N_("Message"),
                    [
                        Field(
                            N_("Member"), names.get(found.member_id) or gettext("Without a nickname"),
                            href=console_url_or_none("members.detail", member_id=found.member_id),
                        ),
                        Field(N_("Topic"), gettext(TOPIC_NAMES[Topic(found.topic)])),
                        Field(N_("Channel"), found.channel, "tag", CHANNELS),
                        Field(N_("Provider"), provider_name(found.provider)),
                        Field(N_("Reason"), reason_text(found.reason)),
                        Field(N_("Calls"), found.attempts, "number"),
                        Field(N_("Parts of a text message"), found.segments, "number"),
                        Field(N_("Next try"), found.available_at if found.state == "queued" else None, "instant"),
                        Field(N_("Number at the provider"), found.msg_id, "code"),
                        Field(N_("Business key"), found.key, "code", wide=True),
                        Field(N_("In the inbox"), body, wide=True),
                    ],
                )
            ],
            panels=[
                Panel(N_("What happened"), timeline=sorted(way, key=lambda one: one.at, reverse=True)),
                Panel(N_("On the member's phone"), html=_shown(template, found, chosen.field_keys, when), side=True),
            ],
        ).render(self, template=PAGE)  # fmt: skip

    @action("/<message_id>/sent", Permission.MESSAGES_DECIDE)
    def mark_sent(self, message_id: str) -> ResponseReturnValue:
        """Take an uncertain message as sent."""
        return self._decide(message_id, Decision.SENT)

    @action("/<message_id>/give-up", Permission.MESSAGES_DECIDE)
    def give_up(self, message_id: str) -> ResponseReturnValue:
        """Give up an uncertain message."""
        return self._decide(message_id, Decision.GIVEN_UP)

    @action("/<message_id>/send-again", Permission.MESSAGES_DECIDE)
    def send_again(self, message_id: str) -> ResponseReturnValue:
        """Send an uncertain message once more."""
        return self._decide(message_id, Decision.SEND_AGAIN)

    def _decide(self, message_id: str, decision: Decision) -> ResponseReturnValue:
        wanted, actor, reason = self.uuid(message_id), current_actor(), request.form.get("reason", "")
        return self.change(
            lambda session: service.decide(session, wanted, decision, reason=reason, actor=actor, now=now()),
            done=N_("The message is settled."),
        )


def _shown(template: type[MessageTemplate], found: MessageView, keys: dict[str, str], when: str) -> Markup:
    """Return the message as the member sees it on the channel it came over."""
    if found.channel in {Channel.SMS, Channel.EMAIL}:
        return previews(template, found.texts)
    return card(template, found.texts, keys, when)


def _names(session: Session, rows: Any) -> dict[UUID, str]:
    return members.names_of(session, list({row.member_id for row in rows}))


VIEWS = [MessagesView]
