"""Console pages of message templates: which of WeChat's carries which message, how it looks, and whom it can reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import abort, flash, redirect
from flask_babel import gettext
from wtforms.validators import InputRequired, Length

from admin.base import ConsoleView, console_url, core, current_actor, form_page, now, page
from admin.detail import DetailPage, Field, Figure, Panel, Section
from admin.formats import Tag
from admin.forms import L_, BooleanField, ConsoleForm, FormPage, FormSection, StringField
from admin.listing import Column, ListPage, RowAction, Table
from admin.views.channel_words import CHANNELS, previews, provider_name
from admin.views.message_card import PAGE, card
from server.kernel.text import N_
from server.notifications import fields, figures, queries, service
from server.notifications.errors import TemplateUnknownError
from server.notifications.queries import TemplateView
from server.notifications.routes import OFFICIAL_ACCOUNT, Plan
from server.notifications.rules import Channel
from server.notifications.templates import REGISTRY, TOPIC_NAMES, MessageTemplate, Topic, spoken
from server.staff.permissions import Permission

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue
    from sqlalchemy.orm import Session

READY = {True: Tag(N_("Ready"), "green"), False: Tag(N_("Not set up"), "grey")}
SWITCH = {True: Tag(N_("Enabled"), "green"), False: Tag(N_("Not pushed"), "grey")}


class MessageTemplatesView(ConsoleView):
    """Which of WeChat's templates carries which message, whom each can reach, and how it looks."""

    slug = "message-templates"
    title = N_("Message templates")
    group = "reach"
    icon = "smartphone"
    order = 20
    permission = Permission.MESSAGES_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """List the messages there are, with the members each can reach."""
        with self.reading() as session:
            rows = queries.templates(session)
            reach = {one.template: one for one in figures.reach(session)}
        table = Table(
            [
                Column(
                    N_("Message"), lambda row: gettext(row.label), "link", href=lambda row: self.url_to("detail", code=row.code),
                    second="code",
                ),
                Column(N_("Topic"), lambda row: gettext(TOPIC_NAMES[Topic(row.topic)])),
                Column(N_("WeChat template"), "wechat_template_id", "code"),
                Column(N_("State"), "enabled", "tag", tags=SWITCH),
                Column(
                    N_("Members within reach"), lambda row: reach[row.code].reachable, "number",
                    tip=N_("Members with at least one allowance: a push now would reach so many."),
                ),
                Column(N_("Allowances in hand"), lambda row: reach[row.code].allowances, "number"),
                Column(N_("Held by calls"), lambda row: reach[row.code].reserved, "number"),
                Column(N_("Waiting"), lambda row: reach[row.code].waiting, "number"),
            ],
            rows,
            lambda row: [
                RowAction(N_("Preview"), self.url_to("detail", code=row.code)),
                RowAction(N_("Choose template"), self.url_to("edit", code=row.code), Permission.MESSAGES_EDIT),
            ],
        )  # fmt: skip
        intro = N_("WeChat allows one push for each time a member accepts it. The forecast counts the acceptances in hand.")
        return ListPage(self.title, table, intro=intro).render(self)

    @page("/<code>")
    def detail(self, code: str) -> ResponseReturnValue:
        """Show one template as the member sees it."""
        template, chosen, reach = self._found(code)
        zone = core().settings.zone
        texts = template.sample().texts(zone)
        rows = [(spec, chosen.field_keys.get(spec.name, "")) for spec in template.specs]
        table = Table(
            [
                Column(N_("Field"), lambda row: gettext(row[0].label), second=lambda row: row[0].name),
                Column(N_("Field at WeChat"), lambda row: row[1], "code"),
                Column(N_("Example"), lambda row: texts[row[0].name]),
            ],
            rows,
        )
        return DetailPage(
            title=gettext(template.label),
            subtitle=gettext(template.title),
            tags=[SWITCH[chosen.enabled]],
            back=(self.title, self.url_to("index")),
            buttons=[
                RowAction(N_("Choose template"), self.url_to("edit", code=code), Permission.MESSAGES_EDIT, tone="primary", icon="pencil"),
                RowAction(N_("Channels"), console_url("message-channels.edit", code=code), Permission.MESSAGES_EDIT, icon="workflow"),
            ],
            figures=[
                Figure(N_("Members within reach"), reach.reachable, tip=N_("Members with at least one allowance.")),
                Figure(N_("Allowances in hand"), reach.allowances),
                Figure(N_("Held by calls"), reach.reserved),
                Figure(N_("Waiting"), reach.waiting),
            ],
            sections=[
                Section(
                    N_("Message"),
                    [
                        Field(N_("WeChat template"), chosen.wechat_template_id, "code"),
                        Field(N_("Topic"), gettext(TOPIC_NAMES[template.topic])),
                        Field(N_("Quiet hours"), gettext("Left alone") if template.exempt else gettext("Kept")),
                        Field(N_("Opens"), template.page, "code"),
                        Field(N_("In the inbox"), gettext(template.body, **spoken(template, texts, gettext)), wide=True),
                    ],
                )
            ],
            panels=[
                Panel(N_("Fields"), table=table),
                Panel(N_("Channels"), table=_channel_table(self._plan(), template)),
                Panel(N_("On other channels"), html=previews(template, texts), side=True),
                Panel(N_("On the member's phone"), html=card(template, texts, chosen.field_keys, fields.moment(now(), zone)), side=True),
            ],
        ).render(self, template=PAGE)  # fmt: skip

    @form_page("/<code>/edit", Permission.MESSAGES_EDIT)
    def edit(self, code: str) -> ResponseReturnValue:
        """Choose which of WeChat's templates carries a message."""
        template, chosen, _ = self._found(code)
        form = _template_form(template)(data=_form_data(chosen))
        actor = current_actor()

        def work(session: Session) -> None:
            keys = {spec.name: str(form[f"key_{spec.name}"].data or "") for spec in template.specs}
            service.set_template(
                session, code, wechat_template_id=str(form["template_id"].data), field_keys=keys, enabled=bool(form["enabled"].data),
                actor=actor, now=now(),
            )  # fmt: skip

        done, _none = self.submit(form, work)
        if done:
            flash(gettext("The template is chosen."), "success")
            return redirect(self.url_to("detail", code=code))
        sections = [
            FormSection(N_("WeChat template"), ["template_id", "enabled"], N_("From the WeChat console, under subscribe messages.")),
            FormSection(N_("Fields"), [f"key_{spec.name}" for spec in template.specs], N_("As WeChat names them, for example thing1.")),
        ]
        return FormPage(template.label, form, sections, back=self.url_to("detail", code=code)).render(self)

    def _plan(self) -> Plan:
        with self.reading() as session:
            plan = Plan(session, core().lines)
            # Read while the session is open; the page only shows it.
            plan.usable(next(iter(REGISTRY)))
            plan.route(next(iter(REGISTRY)))
        return plan

    def _found(self, code: str) -> tuple[type[MessageTemplate], TemplateView, figures.Reach]:
        try:
            template = queries.template_class(code)
        except TemplateUnknownError:
            abort(404)
        with self.reading() as session:
            chosen = {one.code: one for one in queries.templates(session)}[code]
            reach = {one.template: one for one in figures.reach(session)}[code]
        return template, chosen, reach


def _channel_table(plan: Plan, template: type[MessageTemplate]) -> Table:
    route, usable = plan.route(template.code), plan.usable(template.code)
    rows = [(place, channel) for place, channel in enumerate(route, start=1)]

    def carried(channel: Channel) -> str:
        if channel is Channel.SMS:
            found = [f"{provider_name(one.provider)} {one.template_id}" for one in plan.text_carriers(template.code)]
            return " · ".join(found)
        carrier = plan.carrier(template.code, OFFICIAL_ACCOUNT) if channel is Channel.OFFICIAL_ACCOUNT else None
        return carrier.template_id if carrier else ""

    return Table(
        [
            Column(N_("Place in the order"), lambda row: row[0], "number"),
            Column(N_("Channel"), lambda row: row[1].value, "tag", tags=CHANNELS),
            Column(N_("State"), lambda row: row[1] in usable, "tag", tags=READY),
            Column(N_("Template at the provider"), lambda row: carried(row[1])),
        ],
        rows,
        empty=N_("Inbox only"),
    )


def _template_form(template: type[MessageTemplate]) -> type[ConsoleForm]:
    inputs: dict[str, Any] = {
        "template_id": StringField(L_("WeChat template id"), [InputRequired(), Length(max=64)]),
        "enabled": BooleanField(L_("Push it")),
    }
    for spec in template.specs:
        inputs[f"key_{spec.name}"] = StringField(L_(spec.label), [InputRequired(), Length(max=32)])
    return type("TemplateForm", (ConsoleForm,), inputs)


def _form_data(chosen: TemplateView) -> dict[str, Any]:
    keys = {f"key_{name}": key for name, key in chosen.field_keys.items()}
    first = chosen.wechat_template_id is None
    return {"template_id": chosen.wechat_template_id or "", "enabled": first or chosen.enabled, **keys}


VIEWS = [MessageTemplatesView]
