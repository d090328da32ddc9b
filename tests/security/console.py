"""The console for the walks: a real address of every rule, and staff of every role at their browsers."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from server.campaigns import festivals
from server.campaigns.festival_rules import PRESETS
from server.campaigns.models import Festival, FestivalRun
from server.feedback import desk_service as desk
from server.kernel.actors import MemberActor, StaffActor
from server.kernel.db import Base
from server.kernel.ids import uuid7
from server.kernel.outbox import OutboxDelivery, OutboxEvent
from server.members import service as members
from server.members.rules import Birthday
from server.operations import service as operations
from server.points import drafts, dry_runs, months, openings
from server.points import queries as points
from server.points.openings import OpeningRow
from server.points.rulebook import RuleDraft
from server.referrals import service as referrals
from server.risk import service as risk
from server.risk.rules import Kind, Way
from server.risk.service import Target
from server.screening import service as screening
from server.screening.rules import Cause, Screened, Subject
from server.segments.rules import Fact
from server.staff import approvals
from server.staff.approvals import Wanted
from server.staff.permissions import ROLES
from server.tiers import service as tiers
from server.triggers.rules import TriggerKind
from tests.admin.conftest import TOKEN, open_account, sign_in
from tests.factories.orders import a_draft, an_order
from tests.factories.segments import a_segment, all_of, at_least
from tests.factories.triggers import a_trigger
from tests.factories.world import World, a_world

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient
    from werkzeug.routing import Rule

    from server.bootstrap import Core

ROLE_CODES = tuple(role.code for role in ROLES)

# What an argument of an address names: a row of a table, or a word.
_ROWS = {
    "order_id": "orders",
    "exception_id": "order_exceptions",
    "coupon_id": "coupons",
    "reward_id": "rewards",
    "redemption_id": "reward_redemptions",
    "template_id": "coupon_templates",
    "batch_id": "coupon_code_batches",
    "file_id": "coupon_issue_files",
    "message_id": "notification_messages",
    "check_id": "content_checks",
    "request_id": "member_change_requests",
    "delivery_id": "outbox_deliveries",
    "incident_id": "incidents",
    "partner_id": "partners",
    "staff_id": "staff_accounts",
    "reply_id": "canned_replies",
    "run_id": "points_dry_runs",
    "referral_id": "referrals",
    "refusal_id": "risk_refusals",
    "approval_id": "staff_approvals",
    "opening_id": "points_openings",
}
_ROWS_OF = {
    ("console_audit", "entry_id"): "audit_entries",
    ("console_risk", "entry_id"): "risk_entries",
    ("console_festivals", "run_id"): "festival_runs",
    ("console_points", "entry_id"): "points_entries",
    ("console_staff", "session_id"): "staff_sessions",
    ("console_account", "session_id"): "staff_sessions",
}
_WORDS = {
    ("console_points-rules", "code"): "SELECT code FROM points_rules",
    ("console_message-templates", "code"): "ticket_answered",
    ("console_message-channels", "code"): "ticket_answered",
    ("console_message-reach", "code"): "ticket_answered",
    ("console_festivals", "code"): "national_day",
    ("console_tiers", "code"): "SELECT code FROM tiers",
    ("console_risk", "scope"): "coupons",
    ("console_points-rules", "kind"): "per_amount",
    ("console_coupon-triggers", "code"): "SELECT code FROM coupon_trigger_rules",
    ("console_segments", "code"): "SELECT code FROM segment_rosters",
    ("console_coupon-triggers", "kind"): "order_earned",
    ("console_points-months", "month"): "2026-05",
    ("console_partners", "key_id"): "SELECT key_id FROM partner_keys",
    ("console_tickets", "ticket_no"): "SELECT ticket_no FROM tickets",
    ("console_assets", "code"): "en",
    ("console_assets", "filename"): "icons.svg",
    ("console_workbench", "filename"): "admin/css/bootstrap4/admin.css",
    ("console_workbench", "rest"): "nothing/here",
    ("console_events", "export_type"): "csv",
}


@dataclass
class Console:
    """A console full of things, and its staff."""

    app: Flask
    core: Core
    world: World

    def rules(self) -> list[Rule]:
        return sorted((rule for rule in self.app.url_map.iter_rules() if rule.rule.startswith("/admin")), key=lambda rule: rule.rule)

    def address(self, rule: Rule) -> str:
        """Return the address of something that is there.

        Raises:
            KeyError: nobody has said yet what this argument names; say it above.
        """

        def value(found: re.Match[str]) -> str:
            name = found.group(1).split(":")[-1]
            return self._named(rule.endpoint.split(".")[0], name)

        address = re.sub(r"<([^>]+)>", value, rule.rule)
        if rule.endpoint == "console_events.details_view":
            address += f"?id={self._row('outbox_events')}"
        return address

    def _named(self, blueprint: str, name: str) -> str:
        if name == "member_id":
            return str(self.world.owner.member_id)
        if name == "other_id":
            return str(self.world.other.member_id)
        word = _WORDS.get((blueprint, name))
        if word is not None:
            return self._asked(word) if word.startswith("SELECT ") else word
        return str(self._row(_ROWS_OF.get((blueprint, name)) or _ROWS[name]))

    def _asked(self, statement: str) -> str:
        with self.core.db.engine.connect() as connection:
            return str(connection.exec_driver_sql(f"{statement} ORDER BY 1 LIMIT 1").scalar_one())

    def _row(self, table: str) -> UUID:
        column = Base.metadata.tables[table].c.id
        with self.core.db.engine.connect() as connection:
            found = connection.execute(sa.select(column).order_by(column).limit(1)).scalar_one()
        return UUID(str(found))

    def browser(self, role: str) -> FlaskClient:
        """Sign a new member of staff in."""
        open_account(self.core, role)
        return sign_in(self.app.test_client(), self.core, role)


def a_console(core: Core) -> Console:
    """Fill a brand with something on every page of the console."""
    from wsgi import create_app

    world = a_world(core)
    world.an_order()
    world.a_ticket(answered=True)
    world.a_message()
    world.a_coupon()
    world.a_code()
    world.an_issue_file()
    world.a_redemption()
    staff, member = StaffActor(uuid7(), "Lin"), world.owner.member_id

    def work(session: Any) -> None:
        now = core.clock.now()
        tiers.ensure_default_tiers(session)
        an_order(session, replace(a_draft(now=now), payable_fen=1), now=now)
        desk.add_canned_reply(session, title="Sorry", content="Sorry.", category=None, actor=staff, now=now)
        risk.add_entry(session, Target(Kind.MEMBER, member_id=member), scope="all", reason="because", until=None, actor=staff, now=now)
        risk.ask(session, member, Way.CODE, now=now)
        referrals.bind(session, member, world.other.member_id, "22334455", None, now=now)
        approvals.ask(
            session,
            Wanted("points.adjust", "member", str(member), {"member_id": str(member), "points": 9}, "k"),
            reason="because",
            actor=staff,
            now=now,
        )
        closing = months.work_out(session, date(2026, 5, 1), cutoff=uuid7())
        months.close(session, closing, points_per_yuan=100, actor=staff, now=now)
        openings.stage(
            session, "old.csv", [OpeningRow(2, "a", member, 5, None, "")], known=0, faults=[[3, "points", "empty"]], actor=staff, now=now
        )
        a_segment(session, all_of(at_least(Fact.ORDERS, 1)), now=now)
        festivals.set_festival(session, "national_day", PRESETS["national_day"], actor=staff, now=now)
        festival = session.scalars(sa.select(Festival)).one()
        session.add(
            FestivalRun(
                id=uuid7(),
                festival_id=festival.id,
                year=2025,
                celebrated_on=date(2025, 10, 1),
                version=festival.version,
                document=festival.document,
                state="running",
                joined_before=now,
                started_at=now,
            )
        )
        doubtful = Screened(passed=False, cause=Cause.DOUBT)
        screening.note_text(session, Subject.NICKNAME, member, member_id=member, content="Somebody", screened=doubtful, now=now)
        operations.open_incident(session, "test", "one", details={}, now=now)
        for rule in points.rule_versions(session):
            drafts.save(session, RuleDraft(rule.code, rule.kind, rule.name, rule.document), actor=staff, now=now)
        a_trigger(session, TriggerKind.ORDER, now=now)
        dry_runs.ask(session, now.date(), now.date(), actor=staff, now=now)
        change = members.ProfileChange(birthday=Birthday("solar", 2, 3))
        members.update_profile(session, member, change, actor=MemberActor(member), now=now)
        event = session.scalars(sa.select(OutboxEvent.id)).first()
        session.add(
            OutboxDelivery(id=uuid7(), event_id=event, subscription="s", state="dead", attempts=9, available_at=now, error="TimeoutError")
        )

    core.db.run(work)
    app = create_app(core=core)
    app.testing = False
    app.config["PROPAGATE_EXCEPTIONS"] = False
    return Console(app, core, world)


def token_of(client: FlaskClient) -> str:
    """Return a CSRF token that holds for every page of this browser."""
    found = TOKEN.search(client.get("/admin/account/password").get_data(as_text=True))
    assert found
    return found.group(1)
