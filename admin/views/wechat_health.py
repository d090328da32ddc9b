"""Console page of the connection to WeChat: the token, what failed and what it means, what WeChat pushed, and look-ups."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from flask import flash, redirect, request
from flask_babel import gettext
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than the stubs
from wtforms.validators import InputRequired, Length

from admin import formats
from admin.base import ConsoleView, action, core, current_actor, form_page, message_of, now, page, put_errors
from admin.detail import DetailPage, Field, Figure, Panel, Section
from admin.formats import Tag
from admin.forms import L_, ConsoleForm, FormPage, SelectField, StringField
from admin.listing import Column, RowAction, Table
from server.audit import queries as audit_queries
from server.audit import service as audit
from server.flows import wechat_push
from server.kernel.errors import DomainError
from server.kernel.text import N_
from server.staff.permissions import Permission
from server.wechat import queries, troubles, withdrawn
from server.wechat.policy import POLICIES, Again, Kind, Policy, policy_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.typing import ResponseReturnValue

    from server.wechat.troubles import Trouble

KINDS = {
    Kind.TOKEN: Tag(N_("Access token"), "red"),
    Kind.CONNECTION: Tag(N_("App and server"), "red"),
    Kind.GRANT: Tag(N_("Rights"), "orange"),
    Kind.QUOTA: Tag(N_("Quota"), "orange"),
    Kind.BUSY: Tag(N_("Network or load"), "blue"),
    Kind.ORDINARY: Tag(N_("Ordinary"), "grey"),
    Kind.REQUEST: Tag(N_("Request"), "gold"),
}
AGAIN = {
    Again.FRESH_TOKEN: N_("Once, with a fresh token"),
    Again.LATER: N_("Later"),
    Again.NEVER: N_("No"),
}
ALERT = {True: Tag(N_("Alarm"), "red"), False: Tag(N_("No alarm"), "grey")}
STATES = {True: Tag(N_("Paused"), "red"), False: Tag(N_("Over"), "grey")}
DUTY = {True: Tag(N_("Acted on"), "green"), False: Tag(N_("Stored only"), "orange")}
INTERFACES: dict[str, str] = {
    "/cgi-bin/message/subscribe/send": N_("Subscribe messages"),
    "/wxa/business/getuserphonenumber": N_("Phone numbers"),
    "/wxa/msg_sec_check": N_("Text checks"),
    "/wxa/getwxacodeunlimit": N_("Mini-program codes"),
    "/wxa/generate_urllink": N_("Links"),
}
EVENT_NAMES: dict[str, str] = {
    "subscribe_msg_popup_event": N_("Answer to the subscribe dialog"),
    "subscribe_msg_change_event": N_("Message switched off"),
    "subscribe_msg_sent_event": N_("Message delivered"),
    wechat_push.MEDIA_CHECK: N_("Picture checked by WeChat"),
    **withdrawn.EVENTS,
}
CLEARED = "wechat.clear_quota"
# A second press, or a second pair of hands, would only spend another of the ten.
_CLEARED_FOR = timedelta(minutes=10)


class WeChatHealthView(ConsoleView):
    """Whether WeChat answers, what it refuses and what to do about it."""

    slug = "wechat-health"
    title = N_("WeChat health")
    group = "system"
    icon = "activity"
    order = 31
    permission = Permission.QUEUES_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """Show everything on one page."""
        appid, token = core().settings.wechat_appid, core().wechat.token_state()
        with self.reading() as session:
            failures = troubles.latest(session, appid=appid)
            events = queries.event_counts(session)
        standing = [one for one in failures if one.paused_until is not None]
        until = max((one.paused_until for one in standing if one.paused_until), default=None)
        unknown = sum(1 for one in events if one.event and not wechat_push.is_known(one.event))
        return DetailPage(
            title=self.title,
            subtitle=appid,
            tags=[Tag(N_("Refused by WeChat"), "red") if standing else Tag(N_("In order"), "green")],
            notice=policy_of(standing[0].code).remedy if standing else "",
            buttons=[
                RowAction(N_("Look up a quota"), self.url_to("quota"), Permission.QUEUES_READ),
                RowAction(N_("Look up a request"), self.url_to("request_record"), Permission.QUEUES_READ),
                RowAction(
                    N_("Clear quotas"), self.url_to("clear_quota"), Permission.QUEUES_EDIT, post=True, reason=True, tone="danger",
                    confirm=N_("WeChat allows it ten times a month, for all interfaces together. Clear all quotas now?"),
                ),
            ],
            figures=[
                Figure(
                    N_("Access token's age"), token.age_seconds if token.kept else None, "duration",
                    tip=N_("Since it was fetched. Without one, the next call fetches it."),
                ),
                Figure(
                    N_("Replaced in"), token.left_seconds if token.kept else None, "duration",
                    tip=N_("A token lives two hours and is replaced five minutes before its end."),
                ),
                Figure(
                    N_("Token shared"), gettext("By all processes") if token.shared else gettext("By this process alone"), "text",
                    tip=N_("All processes share it through Redis; while Redis is away each fetches its own, which costs calls only."),
                    tone="" if token.shared else "orange",
                ),
                Figure(
                    N_("Paused until"), until, "minute", tone="red" if until else "",
                    tip=N_("An interface that refuses us is left alone for a while, longer each time; one call then tries."),
                ),
                Figure(N_("Unknown events"), unknown, tip=N_("Kinds of pushes that are stored and that nothing follows from.")),
            ],
            panels=[
                Panel(N_("Failures"), table=self._failures(failures), name="failures"),
                Panel(N_("Pushes from WeChat"), table=_pushes(events), name="pushes"),
                Panel(N_("What the codes mean"), table=_policies(), name="codes"),
            ],
        ).render(self)  # fmt: skip

    @form_page("/quota", Permission.QUEUES_READ)
    def quota(self) -> ResponseReturnValue:
        """Ask WeChat how often an interface may still be called today."""
        form: Any = _QuotaForm(data={"path": request.args.get("path")})
        found = _asked(form, lambda: core().wechat.quota(str(form.path.data)))
        if found is None:
            return FormPage(N_("Look up a quota"), form, submit=N_("Look up"), back=self.url_to("index")).render(self)
        return DetailPage(
            title=INTERFACES.get(form.path.data, form.path.data),
            subtitle=form.path.data,
            back=(self.title, self.url_to("index")),
            figures=[
                Figure(N_("Left today"), found.left, tone="red" if not found.left else ""),
                Figure(N_("Used today"), found.used),
                Figure(N_("Allowed a day"), found.daily_limit),
                Figure(N_("Calls at a time"), found.per_call_limit or None, tip=N_("Calls within the window of the next figure.")),
                Figure(N_("Window"), found.per_seconds or None, "duration"),
            ],
        ).render(self)

    @form_page("/request", Permission.QUEUES_READ)
    def request_record(self) -> ResponseReturnValue:
        """Ask WeChat what became of a request, by the number it gave it."""
        form: Any = _RequestForm(data={"rid": request.args.get("rid")})
        found = _asked(form, lambda: core().wechat.request_record(str(form.rid.data).strip()))
        if found is None:
            intro = N_("WeChat keeps a request for seven days. What was sent in it is not shown here.")
            return FormPage(N_("Look up a request"), form, submit=N_("Look up"), back=self.url_to("index"), intro=intro).render(self)
        policy = policy_of(found.errcode or 0) if found.errcode else None
        return DetailPage(
            title=str(form.rid.data).strip(),
            subtitle=found.path,
            back=(self.title, self.url_to("index")),
            sections=[
                Section(
                    N_("Request"),
                    [
                        Field(N_("Received"), found.invoked_at, "instant"),
                        Field(N_("Took"), gettext("%(count)s ms", count=formats.shown(found.cost_milliseconds, "number"))),
                        Field(N_("Called from"), found.caller or None, "code"),
                        Field(N_("Answer"), None if found.errcode is None else str(found.errcode), "code"),
                        Field(N_("WeChat's words"), found.errmsg or None, wide=True),
                        Field(N_("What it means"), gettext(policy.meaning) if policy else None, wide=True),
                        Field(N_("What to do"), gettext(policy.remedy) if policy else None, wide=True),
                    ],
                )
            ],
        ).render(self)

    @action("/clear-quota", Permission.QUEUES_EDIT)
    def clear_quota(self) -> ResponseReturnValue:
        """Set all quotas back; told in the trail before WeChat is asked, for nobody knows how a call that breaks off ended."""
        actor, reason, at = current_actor(), request.form.get("reason", "").strip(), now()
        back = redirect(self.url_to("index"))
        if not reason:
            flash(gettext("Please say why."), "danger")
            return back
        with self.reading() as session:
            wanted = audit_queries.EntryFilter(action=CLEARED, since=at - _CLEARED_FOR)
            recent = audit_queries.list_entries(session, None, wanted).items
        if recent:
            flash(gettext("The quotas were cleared a moment ago."), "danger")
            return back
        appid = core().settings.wechat_appid
        core().db.run(
            lambda session: audit.record(
                session, actor=actor, action=CLEARED, subject_type="wechat_account", subject_id=appid, reason=reason, now=at
            )
        )
        try:
            core().wechat.clear_quota()
        except DomainError as error:
            flash(message_of(error), "danger")
        else:
            flash(gettext("All quotas are cleared."), "success")
        return back

    def _failures(self, rows: list[Trouble]) -> Table:
        return Table(
            [
                Column(
                    N_("Code"), lambda row: f"{row.code} · {_interface(row.endpoint)}",
                    second=lambda row: row.rid, second_label=N_("Request number"),
                ),
                Column(N_("State"), lambda row: row.paused_until is not None, "tag", tags=STATES),
                Column(
                    N_("What it means"), lambda row: gettext(policy_of(row.code).meaning),
                    second=lambda row: gettext(policy_of(row.code).remedy), second_label=N_("What to do"),
                ),
                Column(N_("Times"), "occurrences", "number"),
                Column(N_("Last seen"), "last_at", "minute"),
            ],
            rows,
            lambda row: [RowAction(N_("Look up"), self.url_to("request_record", rid=row.rid), Permission.QUEUES_READ)] if row.rid else [],
            empty=N_("Nothing failed"),
            empty_hint=N_("What belongs to an ordinary day, such as a member who refuses a message, is not listed."),
        )  # fmt: skip


def _interface(endpoint: str) -> str:
    name = INTERFACES.get(f"/{endpoint}")
    return str(gettext(name)) if name else endpoint


class _RequestForm(ConsoleForm):
    rid = StringField(L_("Request number"), [InputRequired(), Length(max=64)])


class _QuotaForm(ConsoleForm):
    path = SelectField(L_("Interface"), [InputRequired()], choices=[SelectChoice(path, L_(name)) for path, name in INTERFACES.items()])


def _asked(form: Any, ask: Callable[[], Any]) -> Any:
    """Return WeChat's answer to a form, or None when the form is to be shown, with the refusal if there was one."""
    if not form.validate_on_submit():
        return None
    try:
        return ask()
    except DomainError as error:
        put_errors(form, error)
        return None


def _pushes(rows: list[queries.EventCount]) -> Table:
    return Table(
        [
            Column(N_("Event"), lambda row: _event_name(row.event), second=lambda row: row.event or row.kind),
            Column(N_("What follows"), lambda row: wechat_push.is_known(row.event), "tag", tags=DUTY),
            Column(N_("Times"), "count", "number"),
            Column(N_("Last seen"), "last_at", "instant"),
        ],
        rows,
        empty=N_("WeChat pushed nothing yet"),
        empty_hint=N_("The address to enter in the WeChat console is told in the manual on connecting a mini-program."),
    )


def _event_name(event: str) -> str:
    if event.startswith(wechat_push.TRADE_PREFIX):
        return str(gettext("News of an order from WeChat"))
    return str(gettext(EVENT_NAMES.get(event, N_("Unknown event") if event else N_("Message of a member"))))


def _policies() -> Table:
    rows: list[Policy] = list(POLICIES.values())
    return Table(
        [
            Column(N_("Code"), "code", "code"),
            Column(N_("Kind"), "kind", "tag", tags=KINDS),
            Column(
                N_("What it means"),
                lambda row: gettext(row.meaning),
                second=lambda row: gettext(row.remedy),
                second_label=N_("What to do"),
            ),
            Column(N_("Called again"), lambda row: gettext(AGAIN[row.again])),
            Column(N_("Alarm"), "alert", "tag", tags=ALERT),
        ],
        rows,
    )


VIEWS = [WeChatHealthView]
