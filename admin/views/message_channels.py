"""Console pages of channels: how each provider does, and over which channels in which order a message goes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from flask import abort, flash, redirect
from flask_babel import gettext
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than its stubs
from wtforms.validators import Length
from wtforms.validators import Optional as MayBeEmpty

from admin.base import ConsoleView, console_url, core, current_actor, form_page, now, page
from admin.detail import DetailPage, Field, Figure, Panel, Section
from admin.formats import Tag
from admin.forms import L_, ConsoleForm, FormPage, FormSection, SelectField, StringField
from admin.listing import Column, RowAction, Table
from admin.views.channel_words import CHANNELS, channel_name, provider_name
from admin.views.message_words import reason_text
from server.kernel.text import N_
from server.notifications import attempts, queries, routes
from server.notifications.attempts import ProviderHealth
from server.notifications.errors import TemplateUnknownError
from server.notifications.routes import OFFICIAL_ACCOUNT, Carrier, Plan
from server.notifications.rules import SENT_OVER, Channel
from server.notifications.templates import MessageTemplate
from server.staff.permissions import Permission
from server.wechat import followers

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue
    from sqlalchemy.orm import Session

_HEALTH_HOURS = 24
_COST_DAYS = 30
_OFF = "off"
CONNECTED = {
    "good": Tag(N_("In order"), "green"),
    "idle": Tag(N_("Connected, not used yet"), "blue"),
    "bad": Tag(N_("In trouble"), "red"),
    "none": Tag(N_("Not connected"), "grey"),
}
_PLACES = {"1": N_("First"), "2": N_("Second"), "3": N_("Third"), "4": N_("Fourth"), _OFF: N_("Not over this channel")}
_TEXT_PROVIDERS = ("aliyun", "tencent", "local")


@dataclass(frozen=True, slots=True)
class _Card:
    """One provider and how it did."""

    channel: Channel
    provider: str
    state: str
    health: ProviderHealth | None
    month: ProviderHealth | None

    def count(self, *outcomes: str) -> int:
        return sum(self.health.outcomes.get(one, 0) for one in outcomes) if self.health else 0


class MessageChannelsView(ConsoleView):
    """The health of each provider, and the order of channels of each message."""

    slug = "message-channels"
    title = N_("Channels")
    group = "reach"
    icon = "workflow"
    order = 25
    permission = Permission.MESSAGES_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """Show how each provider does, and each message's order of channels."""
        at, lines = now(), core().lines
        with self.reading() as session:
            day = attempts.health(session, at - timedelta(hours=_HEALTH_HOURS))
            month = attempts.health(session, at - timedelta(days=_COST_DAYS))
            plan = Plan(session, lines)
            rows = [(view, plan.route(view.code), plan.usable(view.code)) for view in queries.templates(session)]
            known = followers.figures(session, lines.official_account) if lines.official_account else None
        connected = (
            {"wechat", *lines.sms} | ({OFFICIAL_ACCOUNT} if lines.official_account else set()) | ({lines.email} if lines.email else set())
        )
        cards = [_card(channel, provider, connected, day, month) for channel, provider in _providers(lines.sms, lines.email)]
        segments = sum(one.segments for one in month.values())
        return DetailPage(
            title=self.title,
            subtitle=N_("The last 24 hours"),
            figures=[
                Figure(N_("Calls"), sum(card.count("sent", "refused", "not_done", "misconfigured", "unknown") for card in cards)),
                Figure(N_("Taken in"), sum(card.count("sent") for card in cards), tone="green"),
                Figure(
                    N_("Parts of text messages"), segments,
                    tip=N_("Charged by the providers within 30 days; a long text is several parts."),
                ),
                Figure(
                    N_("Followers"), known.following if known else 0,
                    tip=N_("Of the Official Account. Members among them are reached by their unionid."),
                ),
                Figure(N_("Recognised"), known.known if known else 0, tip=N_("Followers whose unionid WeChat has told.")),
            ],
            panels=[
                Panel(N_("Providers"), table=_health_table(cards)),
                Panel(N_("Order of channels"), table=self._route_table(rows)),
            ],
            sections=[_addresses(known)],
        ).render(self)  # fmt: skip

    def _route_table(self, rows: list[Any]) -> Table:
        return Table(
            [
                Column(
                    N_("Message"), lambda row: gettext(row[0].label), "link", second=lambda row: row[0].code,
                    href=lambda row: console_url("message-templates.detail", code=row[0].code),
                ),
                Column(N_("Order of channels"), lambda row: _route_text(row[1], row[2])),
            ],
            rows,
            lambda row: [RowAction(N_("Choose channels"), self.url_to("edit", code=row[0].code), Permission.MESSAGES_EDIT)],
        )  # fmt: skip

    @form_page("/<code>/edit", Permission.MESSAGES_EDIT)
    def edit(self, code: str) -> ResponseReturnValue:
        """Choose a message's order of channels and the providers' templates for it."""
        try:
            template = queries.template_class(code)
        except TemplateUnknownError:
            abort(404)
        with self.reading() as session:
            plan = Plan(session, core().lines)
            route = plan.route(code)
            carriers = {one: plan.carrier(code, one) for one in (OFFICIAL_ACCOUNT, *_TEXT_PROVIDERS)}
        shown = _shown_providers(carriers)
        form = _channels_form(template, shown)(data=_form_data(template, route, carriers))
        actor = current_actor()

        def work(session: Session) -> None:
            routes.set_route(session, template, _chosen_route(form), actor=actor, now=now())
            for provider in (OFFICIAL_ACCOUNT, *shown):
                number = str(form[f"id_{provider}"].data or "")
                routes.set_carrier(session, template, provider, number, _pairs(form, template, provider), actor=actor, now=now())

        done, _none = self.submit(form, work)
        if done:
            flash(gettext("The channels are chosen."), "success")
            return redirect(console_url("message-templates.detail", code=code))
        return FormPage(template.label, form, _sections(template, shown), back=console_url("message-templates.detail", code=code)).render(
            self
        )


def _providers(texts: tuple[str, ...], email: str | None) -> list[tuple[Channel, str]]:
    return [
        (Channel.SUBSCRIBE, "wechat"),
        (Channel.OFFICIAL_ACCOUNT, OFFICIAL_ACCOUNT),
        *((Channel.SMS, name) for name in (texts or ("aliyun", "tencent"))),
        (Channel.EMAIL, email or "smtp"),
    ]


def _card(channel: Channel, provider: str, connected: set[str], day: dict[str, ProviderHealth], month: dict[str, ProviderHealth]) -> _Card:
    health = day.get(provider)
    state = "none" if provider not in connected else "idle" if provider not in month else "good"
    if (
        state == "good"
        and health is not None
        and health.failed_at is not None
        and (health.sent_at is None or health.failed_at > health.sent_at)
    ):
        state = "bad"
    return _Card(channel, provider, state, health, month.get(provider))


def _health_table(cards: list[_Card]) -> Table:
    return Table(
        [
            Column(N_("Provider"), lambda row: provider_name(row.provider), second=lambda row: channel_name(row.channel)),
            Column(N_("State"), "state", "tag", tags=CONNECTED),
            Column(N_("Taken in"), lambda row: row.count("sent"), "number"),
            Column(N_("Refused"), lambda row: row.count("refused"), "number"),
            Column(
                N_("Not reached"), lambda row: row.count("not_done", "misconfigured"), "number",
                tip=N_("Certainly not sent: tried again, or sent by another provider."),
            ),
            Column(N_("Unknown"), lambda row: row.count("unknown"), "number"),
            Column(N_("Milliseconds"), lambda row: row.health.milliseconds if row.health else None, "number"),
            Column(N_("Parts in 30 days"), lambda row: row.month.segments if row.month and row.channel == Channel.SMS else None, "number"),
            Column(N_("Last taken in"), lambda row: row.month.sent_at if row.month else None, "minute"),
            Column(N_("Last trouble"), lambda row: reason_text(row.health.failed_reason) if row.health and row.health.failed_at else ""),
        ],
        cards,
    )  # fmt: skip


def _route_text(route: tuple[Channel, ...], usable: frozenset[Channel]) -> str:
    if not route:
        return str(gettext("Inbox only"))
    named = ((channel_name(one), one in usable) for one in route)
    return " → ".join(name if ready else gettext("%(channel)s (not set up)", channel=name) for name, ready in named)


def _addresses(known: followers.FollowerFigures | None) -> Section:
    base = core().settings.base_url
    walk = known.walk if known else None
    return Section(
        N_("Connections"),
        [
            Field(N_("Official Account's push"), f"{base}/callbacks/wechat/official-account", "code", wide=True),
            Field(N_("Delivery reports of text messages"), f"{base}/callbacks/sms/…/…/reports", "code", wide=True),
            Field(N_("Answers to text messages"), f"{base}/callbacks/sms/…/…/replies", "code", wide=True),
            Field(N_("Last walk through the followers"), walk.finished_at or walk.started_at if walk else None, "minute"),
            Field(N_("Waiting to be recognised"), known.waiting if known else None, "number"),
        ],
    )


def _shown_providers(carriers: dict[str, Carrier | None]) -> tuple[str, ...]:
    connected = core().lines.sms
    return tuple(one for one in _TEXT_PROVIDERS if one != "local" or one in connected or carriers[one] is not None)


def _channels_form(template: type[MessageTemplate], shown: tuple[str, ...]) -> type[ConsoleForm]:
    places = [SelectChoice(code, L_(label)) for code, label in _PLACES.items()]
    inputs: dict[str, Any] = {f"place_{one.value}": SelectField(L_(CHANNELS[one].label), choices=places) for one in SENT_OVER}
    inputs[f"id_{OFFICIAL_ACCOUNT}"] = StringField(L_("Template id"), [MayBeEmpty(), Length(max=64)])
    for spec in template.specs:
        inputs[f"{OFFICIAL_ACCOUNT}_{spec.name}"] = StringField(L_(spec.label), [MayBeEmpty(), Length(max=32)])
    for provider in shown:
        inputs[f"id_{provider}"] = StringField(
            L_("Template number"), [MayBeEmpty(), Length(max=64)], description=L_("Empty when this provider does not carry it.")
        )
        inputs[f"fields_{provider}"] = StringField(L_("Places"), [MayBeEmpty(), Length(max=400)], description=L_(_HINTS[provider]))
    return type("ChannelsForm", (ConsoleForm,), inputs)


_HINTS = {
    "aliyun": N_("Our field = the template's variable, separated by commas: order_no=order, carrier=company"),
    "tencent": N_("Our fields in the order of the template's places, separated by commas: order_no, carrier"),
    "local": N_("Our field = the template's variable, separated by commas: order_no=order, carrier=company"),
}


def _form_data(template: type[MessageTemplate], route: tuple[Channel, ...], carriers: dict[str, Carrier | None]) -> dict[str, Any]:
    data: dict[str, Any] = {f"place_{one.value}": str(route.index(one) + 1) if one in route else _OFF for one in SENT_OVER}
    account = carriers[OFFICIAL_ACCOUNT]
    chosen = dict(account.fields) if account else {}
    for spec in template.specs:
        data[f"{OFFICIAL_ACCOUNT}_{spec.name}"] = chosen.get(spec.name, spec.default_key)
    for provider, carrier in carriers.items():
        data[f"id_{provider}"] = carrier.template_id if carrier else ""
        pairs = carrier.fields if carrier else tuple((spec.name, spec.name) for spec in template.specs)
        data[f"fields_{provider}"] = ", ".join(ours if provider == "tencent" else f"{ours}={theirs}" for ours, theirs in pairs)
    return data


def _chosen_route(form: Any) -> list[Channel]:
    placed = [(str(form[f"place_{one.value}"].data), one) for one in SENT_OVER]
    return [one for place, one in sorted(placed, key=lambda pair: pair[0]) if place != _OFF]


def _pairs(form: Any, template: type[MessageTemplate], provider: str) -> list[tuple[str, str]]:
    if provider == OFFICIAL_ACCOUNT:
        return [(spec.name, str(form[f"{provider}_{spec.name}"].data or "")) for spec in template.specs]
    parts = [part.strip() for part in str(form[f"fields_{provider}"].data or "").replace("，", ",").split(",") if part.strip()]
    found = []
    for number, part in enumerate(parts, start=1):
        ours, _, theirs = part.partition("=")
        found.append((ours.strip(), theirs.strip() or (str(number) if provider == "tencent" else ours.strip())))
    return found


def _sections(template: type[MessageTemplate], shown: tuple[str, ...]) -> list[FormSection]:
    return [
        FormSection(
            N_("Order of channels"),
            [f"place_{one.value}" for one in SENT_OVER],
            N_("The next channel is tried when one is certainly out of the question. Text messages cost money."),
        ),
        FormSection(
            N_("Official Account"),
            [f"id_{OFFICIAL_ACCOUNT}", *(f"{OFFICIAL_ACCOUNT}_{spec.name}" for spec in template.specs)],
            N_("Fields as WeChat names them, for example thing1."),
        ),
        *(FormSection(_TITLES[one], [f"id_{one}", f"fields_{one}"]) for one in shown),
    ]


_TITLES = {
    "aliyun": N_("Aliyun text messages"),
    "tencent": N_("Tencent Cloud text messages"),
    "local": N_("Stand-in on this machine"),
}
VIEWS = [MessageChannelsView]
