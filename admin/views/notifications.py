"""Console pages of messages: what was sent, why not, and what a person has to decide."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from flask import abort, request
from flask_babel import gettext

from admin import charts
from admin.base import ConsoleView, action, console_url_or_none, core, current_actor, now, page
from admin.detail import DetailPage, Field, Figure, Moment, Panel, Section
from admin.export import export_list
from admin.formats import Tag
from admin.listing import Column, Filter, ListPage, RowAction, Table, read_filters
from admin.views.channel_words import CHANNELS, moment_of, previews, provider_name
from admin.views.message_card import PAGE, card
from server.kernel.clock import business_date, start_of_day
from server.kernel.pagination import PageRequest
from server.kernel.text import N_
from server.members import queries as members
from server.notifications import attempts, fields, figures, queries, service
from server.notifications.queries import MessageFilter, MessageView
from server.notifications.rules import Channel, Decision
from server.notifications.templates import REGISTRY, TOPIC_NAMES, MessageTemplate, Topic, spoken
from server.staff.permissions import Permission

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue
    from markupsafe import Markup
    from sqlalchemy.orm import Session

STATES = {
    "queued": Tag(N_("Queued"), "blue"),
    "sending": Tag(N_("Sending"), "cyan"),
    "sent": Tag(N_("Sent"), "green"),
    "delivered": Tag(N_("Arrived"), "green"),
    "failed": Tag(N_("Failed"), "red"),
    "uncertain": Tag(N_("Uncertain"), "orange"),
    "skipped": Tag(N_("Inbox only"), "grey"),
}
REASONS = {
    "no_grant": N_("No subscription allowance"),
    "no_wechat": N_("Does not use the mini-program"),
    "no_template": N_("No WeChat template chosen"),
    "preference": N_("Switched off by the member"),
    "member_gone": N_("Membership ended"),
    "contact_cap": N_("Contacted often enough this week"),
    "stale": N_("Too old to be pushed"),
    "quiet_hours": N_("Waits for the end of quiet hours"),
    "does_not_fit": N_("The text does not fit the template"),
    "refused_or_no_grant": N_("Refused by the member, or allowance used up"),
    "busy": N_("WeChat was busy"),
    "quota": N_("WeChat's quota was used up"),
    "connect": N_("WeChat could not be reached"),
    "misconfigured": N_("WeChat connection misconfigured"),
    "timeout": N_("No answer in time"),
    "broken_off": N_("Broken off during the call"),
    "broken": N_("Broken off during the call"),
    "given_up": N_("Given up by staff"),
    "decided_sent": N_("Taken as sent by staff"),
    "sent_again": N_("Sent again by staff"),
    "no_follower": N_("Does not follow the Official Account"),
    "no_phone": N_("No phone number"),
    "no_email": N_("No e-mail address"),
    "not_connected": N_("The channel is not set up"),
    "switched_off": N_("All channels switched off for this message"),
    "bad_number": N_("The phone number is not in use"),
    "bad_address": N_("The e-mail address does not exist"),
    "blocked": N_("The phone number refuses our text messages"),
    "content": N_("The provider refused the text"),
    "too_often": N_("Too many text messages to this number"),
    "too_late": N_("Not allowed at this time of day"),
    "system_error": N_("Trouble at the provider"),
}
_SHOWN_DAYS = 14
_UNCERTAIN_SHOWN = 20
_NEWEST = PageRequest(limit=_UNCERTAIN_SHOWN)
_LABELS = {code: template.label for code, template in REGISTRY.items()}


def reason_text(reason: str | None) -> str:
    """Return why a message was not sent, in the reader's language."""
    if not reason:
        return ""
    known = REASONS.get(reason)
    if known:
        return str(gettext(known))
    if reason.startswith("receipt_"):
        return str(gettext("Did not arrive (%(code)s)", code=reason.removeprefix("receipt_")))
    if reason.startswith("rejected_"):
        return str(gettext("Refused by WeChat (%(code)s)", code=reason.rpartition("_")[2]))
    return reason


def _label(code: str) -> str:
    return str(gettext(_LABELS.get(code, code)))


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
        """Show the last two weeks."""
        at, zone = now(), core().settings.zone
        days = [business_date(at, zone) - timedelta(days=back) for back in reversed(range(_SHOWN_DAYS))]
        since, until = start_of_day(days[0], zone), start_of_day(days[-1] + timedelta(days=1), zone)
        with self.reading() as session:
            daily = [figures.flow(session, start_of_day(day, zone), start_of_day(day + timedelta(days=1), zone)) for day in days]
            reasons = figures.reasons(session, since, until)
            by_template = figures.by_template(session, since, until)
            waiting = queries.messages(session, MessageFilter(state="uncertain"), _NEWEST)
            names = _names(session, waiting.items)
            uncertain = queries.count(session, MessageFilter(state="uncertain"))
        total = {state: sum(day.get(state, 0) for day in daily) for state in STATES}
        pushed = total["sent"] + total["delivered"]
        tried = pushed + total["failed"] + total["uncertain"]
        return DetailPage(
            title=self.title,
            subtitle=N_("The last fourteen days"),
            buttons=[RowAction(N_("All messages"), self.url_to("list_all"), Permission.MESSAGES_READ, icon="list")],
            figures=[
                Figure(N_("Made"), sum(total.values()), tip=N_("Messages put into inboxes, pushed or not.")),
                Figure(N_("Pushed"), pushed, tip=N_("Taken in by WeChat; delivered ones among them."), tone="green"),
                Figure(N_("Success rate"), _percent(pushed, tried), "text", tip=N_("Pushed, of all that were tried.")),
                Figure(N_("Inbox only"), total["skipped"], tip=N_("Not tried: no allowance, no mini-program, switched off.")),
                Figure(N_("Failed"), total["failed"], tip=N_("Refused by WeChat for good."), tone="red" if total["failed"] else ""),
                Figure(
                    N_("Uncertain"), uncertain, tip=N_("Nobody knows whether they arrived; never sent again by itself."),
                    tone="orange" if uncertain else "",
                ),
            ],
            panels=[
                Panel(
                    N_("Messages by day"),
                    chart=charts.trend(
                        N_("Messages by day"),
                        [f"{day:%m-%d}" for day in days],
                        [
                            charts.Series(N_("Pushed"), [day.get("sent", 0) + day.get("delivered", 0) for day in daily], "area"),
                            charts.Series(N_("Inbox only"), [day.get("skipped", 0) for day in daily], "bar"),
                            charts.Series(N_("Failed"), [day.get("failed", 0) for day in daily], "bar"),
                        ],
                    ),
                ),
                Panel(N_("Waiting for a decision"), table=self._table(waiting.items, names, short=True)),
                Panel(N_("By message"), table=_by_template(by_template)),
                Panel(
                    N_("Why messages were not pushed"),
                    chart=charts.bars(N_("Why messages were not pushed"), _grouped(reasons)),
                    side=True,
                ),
                Panel(
                    N_("What became of them"),
                    chart=charts.ring(N_("What became of them"), [(STATES[one].label, number) for one, number in total.items() if number]),
                    side=True,
                ),
            ],
        ).render(self)  # fmt: skip

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
            Filter("template", N_("Message"), "choice", _LABELS),
            Filter("reason", N_("Reason"), "choice", REASONS),
            Filter("made", N_("Made on"), "date_range"),
        ]
        asked = read_filters(filters)
        since, until = asked.dates("made")
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
                    N_("Message"), lambda row: _label(row.template), "link", href=lambda row: self.url_to("detail", message_id=row.id),
                    second=lambda row: gettext(row.title),
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
            title=_label(found.template),
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


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "–"


def _grouped(reasons: list[tuple[str, str, int]]) -> list[tuple[str, float]]:
    sums: dict[str, float] = {}
    for _state, reason, number in reasons:
        sums[reason_text(reason)] = sums.get(reason_text(reason), 0) + number
    return sorted(sums.items(), key=lambda one: -one[1])[:10]


def _by_template(found: dict[str, dict[str, int]]) -> Table:
    rows = [(code, states) for code, states in sorted(found.items(), key=lambda one: -sum(one[1].values()))]

    def number(*wanted: str) -> Any:
        return lambda row: sum(row[1].get(state, 0) for state in wanted)

    return Table(
        [
            Column(N_("Message"), lambda row: _label(row[0])),
            Column(N_("Pushed"), number("sent", "delivered"), "number"),
            Column(N_("Arrived"), number("delivered"), "number"),
            Column(N_("Inbox only"), number("skipped"), "number"),
            Column(N_("Failed"), number("failed"), "number"),
            Column(N_("Uncertain"), number("uncertain"), "number"),
        ],
        rows,
        empty=N_("No messages in these days"),
    )


VIEWS = [MessagesView]
