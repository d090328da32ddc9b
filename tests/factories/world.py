"""A brand with somebody in it: a member who has one of everything, a second member, and two partners.

The walks over every route (security, contract) take their people and things from here.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from server.cards import service as cards
from server.catalogue import service as catalogue
from server.catalogue.rules import PlaceDraft
from server.coupons import service as coupon_service
from server.coupons.rules.codes import BatchDraft, BatchKind
from server.coupons.service import issue_files
from server.feedback import service as feedback
from server.files import service as files
from server.kernel.actors import MemberActor
from server.kernel.amounts import Points
from server.kernel.crypto import Place, vault_of
from server.kernel.db import Base
from server.kernel.source import Source
from server.members import deletion, deletion_queries, emails
from server.members import service as members
from server.members.models import MemberEmailCode
from server.members.rules import Birthday
from server.orders.drafts import MemberRef, ReceiverDraft
from server.partners import service as partners
from server.partners.rules import SCOPES
from server.points import service as points
from tests.factories.coupons import a_coupon, a_template, some_terms
from tests.factories.feedback import Caller, a_picture, a_ticket, an_agent
from tests.factories.members import APPID, SYSTEM
from tests.factories.notifications import all_templates, an_answer
from tests.factories.orders import a_draft, a_line, an_event, an_order, told
from tests.factories.rewards import a_redemption, a_reward

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from server.bootstrap import Core
    from server.coupons.queries import CouponView
    from server.rewards.queries import RedemptionView

_numbers = count(1)


@dataclass(frozen=True)
class Person:
    """What is personal about a member: no two people share a piece of it."""

    openid: str
    phone: str
    nickname: str
    name: str
    address: str
    receiver_phone: str

    def found_in(self, text: str) -> set[str]:
        """Return which of what nobody may be shown in passing a text holds; phones count without the country's code."""
        secret = {
            "openid": self.openid,
            "phone": self.phone.removeprefix("+86"),
            "receiver's name": self.name,
            "receiver's phone": self.receiver_phone,
            "receiver's address": self.address.split(" ")[0],
        }
        return {what for what, word in secret.items() if word in text}


OWNER = Person("oCanaryOwnerCanaryOwnerC0001", "+8613912340017", "柒小满", "欧阳柒满", "杭州市拱墅区暗号路 7712 号", "13512349926")
OTHER = Person("oCanaryOtherCanaryOtherC0002", "+8613712340028", "捌大川", "司马捌川", "成都市青羊区口令街 8823 号", "13612349937")


@dataclass
class World:
    """Who there is. The methods make a new thing of the owner's each time they are called, so that every walk has its own."""

    core: Core
    owner: Caller
    other: Caller
    till: partners.NewKey
    shop: partners.NewKey
    keys: dict[str, partners.NewKey] = field(default_factory=dict)
    numbers: dict[UUID, str] = field(default_factory=dict)

    @property
    def now(self) -> datetime:
        return self.core.clock.now()

    def run(self, work: Callable[[Any], Any]) -> Any:
        return self.core.db.run(work)

    def caller_of(self, member_id: UUID) -> Caller:
        return self.owner if member_id == self.owner.member_id else self.other

    def leave(self) -> None:
        """Let the owner ask to be deleted."""
        member_id = self.owner.member_id
        self.run(lambda s: deletion.request_deletion(s, member_id, reason=None, actor=self.owner.actor, now=self.now))

    def stay(self) -> None:
        """Let the owner take it back, if they asked."""

        def work(session: Any) -> None:
            if deletion_queries.find_open(session, self.owner.member_id) is not None:
                deletion.cancel_deletion(session, self.owner.member_id, reason=None, actor=self.owner.actor, now=self.now)

        self.run(work)

    def a_session(self) -> str:
        """Open one more log-in of the owner."""
        return str(
            self.run(
                lambda s: (
                    members.open_session(s, self.owner.member_id, client="second phone", address="203.0.113.9", now=self.now).session_id
                )
            )
        )

    def a_refresh_token(self) -> str:
        return self.run(lambda s: members.open_session(s, self.owner.member_id, client="x", address=None, now=self.now).refresh_token)

    def a_member_code(self) -> str:
        return self.run(lambda s: cards.new_code(s, self.owner.member_id, now=self.now).code)

    def a_template(self) -> str:
        return str(self.run(lambda s: a_template(s, now=self.now)))

    def a_giftable_coupon(self, *, of: Caller | None = None, offered: bool = False) -> tuple[str, str]:
        """Return a coupon that may be given to a friend, and the token of the link when it is offered."""
        giver, token = (of or self.owner).member_id, ""
        with self.core.db.transaction() as session:
            view = a_coupon(session, giver, now=self.now, terms=some_terms(giftable=True))
            if offered:
                token = coupon_service.offer(session, giver, view.id, actor=MemberActor(giver), now=self.now).token
        return str(view.id), token

    def a_coupon(self, *, redeemed: bool = False, of: Caller | None = None) -> str:
        from server.coupons import service as coupons

        def work(session: Any) -> CouponView:
            view = a_coupon(session, (of or self.owner).member_id, now=self.now)
            if redeemed:
                coupons.redeem(
                    session, view.id, channel="till", external_no=f"R-{next(_numbers)}", discount_fen=0, actor=SYSTEM, now=self.now
                )
            return view

        return str(self.run(work).id)

    def a_code(self) -> str:
        """Give a word that anybody may claim with."""
        word = f"W{next(_numbers)}{secrets.token_hex(4)}"
        draft = BatchDraft(UUID(self.a_template()), BatchKind.SHARED, None, word)
        self.run(lambda s: coupon_service.make_batch(s, draft, actor=SYSTEM, now=self.now))
        return word

    def an_issue_file(self) -> str:
        """Bring a file of one member and one that nobody is."""
        template_id = UUID(self.a_template())
        with TemporaryDirectory() as folder:
            path = Path(folder) / "members.csv"
            path.write_text(f"phone\n{OWNER.phone}\n123\n", encoding="utf-8")
            return str(self.run(lambda s: issue_files.stage(s, template_id, path, name="members.csv", actor=SYSTEM, now=self.now)))

    def an_email_code(self) -> str:
        """Have a code sent to an address of the owner's."""

        def work(session: Any) -> str:
            emails.ask(session, self.owner.member_id, f"lin{next(_numbers)}@example.com", actor=SYSTEM, now=self.now)
            row = session.query(MemberEmailCode).filter_by(member_id=self.owner.member_id).one()
            row.sent_in_window = 0
            return vault_of(session).open(row.code_sealed, Place("member_email_codes", "code_sealed", row.id))

        return str(self.run(work))

    def a_reward(self, **draft: Any) -> str:
        return str(self.run(lambda s: a_reward(s, now=self.now, points=1, **draft)))

    def a_redemption(self, *, paid: bool = False, cancelled: bool = False, **draft: Any) -> RedemptionView:
        """Redeem a point of the owner's, goods to their home; with ``paid`` and ``cancelled`` the cash part is due for refund."""
        from server.rewards import service as rewards

        def work(session: Any) -> RedemptionView:
            reward, source = a_reward(session, now=self.now, points=1, **draft), Source("test", f"payment-{next(_numbers)}")
            home = rewards.ReceiverDraft(OWNER.name, OWNER.receiver_phone, OWNER.address)
            view = a_redemption(session, self.owner.member_id, reward, now=self.now, receiver=home)
            if paid:
                view = rewards.pay(session, view.id, source=source, paid_fen=view.cash_fen, actor=SYSTEM, now=self.now)
            if cancelled:
                view = rewards.cancel(session, view.id, reason="sold out", actor=SYSTEM, now=self.now)
            return view

        return self.run(work)

    def an_order(self, *, of: Caller | None = None, receiver: Person = OWNER, delivered: bool = False) -> Any:
        """Take in a paid order of the owner's that is on its way; returns its draft and what became of it."""
        draft = a_draft(
            now=self.now,
            lines=(a_line(1), a_line(2, sku="SKU-2", amount_fen=5000)),
            member=MemberRef(member_id=(of or self.owner).member_id),
            receiver=ReceiverDraft(receiver.name, receiver.receiver_phone, receiver.address),
        )
        taken = self.run(lambda s: an_order(s, draft, now=self.now))
        number = f"YT{next(_numbers):08d}"
        self.run(lambda s: told(s, draft, an_event("shipped", self.now, carrier="yuantong", tracking_no=number), now=self.now))
        if delivered:
            self.run(lambda s: told(s, draft, an_event("delivered", self.now), now=self.now))
        self.numbers[taken.order_id] = number
        return Sale(str(taken.order_id), taken.order_no, draft.channel, draft.external_no, number)

    def a_ticket(self, *, answered: bool = False, of: Caller | None = None) -> str:
        number = self.run(lambda s: a_ticket(s, of or self.owner, now=self.now)).ticket_no
        if answered:
            self.run(lambda s: feedback.reply(s, number, "马上补发。", actor=an_agent(), now=self.now))
        return number

    def an_upload(self, purpose: str = "ticket", *, of: Caller | None = None) -> str:
        view = self.run(
            lambda s: files.store_upload(
                s,
                self.core.files,
                owner_member_id=(of or self.owner).member_id,
                purpose=purpose,
                data=a_picture(),
                content_type="image/png",
                now=self.now,
            )
        )
        return str(view.id)

    def a_message(self) -> str:
        return str(self.run(lambda s: an_answer(s, self.owner.member_id, key=f"world:{next(_numbers)}", now=self.now)))

    def an_entry(self, *, by: partners.NewKey | None = None, amount: int = 50) -> str:
        """Give the owner points, as a partner does."""
        source = Source(f"partner:{(by or self.till).partner_id}", f"world-{next(_numbers)}")
        return str(
            self.run(
                lambda s: points.accrue(s, self.owner.member_id, Points(amount), source=source, reason="Gift", actor=SYSTEM, now=self.now)
            ).id
        )


@dataclass(frozen=True)
class Sale:
    """An order as everybody names it."""

    order_id: str
    order_no: str
    channel: str
    external_no: str
    tracking_no: str


def a_world(core: Core) -> World:
    """Make the brand: default rules, message templates, two whole members, and two partners who may do everything."""
    now = core.clock.now()

    def brand(session: Any) -> tuple[partners.NewKey, partners.NewKey]:
        points.ensure_default_rules(session, actor=SYSTEM, now=now - timedelta(days=1))
        all_templates(session, now=now)
        catalogue.upsert_warehouse(session, PlaceDraft("W1", "杭州仓"), actor=SYSTEM, now=now)
        return (
            partners.create(session, "till", SCOPES, actor=SYSTEM, now=now),
            partners.create(session, "shop", SCOPES, actor=SYSTEM, now=now),
        )

    till, shop = core.db.run(brand)
    owner, other = (_a_whole_member(core, person) for person in (OWNER, OTHER))
    return World(core, owner, other, till, shop)


def _a_whole_member(core: Core, person: Person) -> Caller:
    now = core.clock.now()

    def work(session: Any) -> Caller:
        login = members.login_with_wechat(
            session, appid=APPID, openid=person.openid, unionid=None, client="first phone", address="203.0.113.7", now=now
        )
        member_id, actor = login.member_id, MemberActor(login.member_id)
        cards.issue(session, member_id, now=now)
        members.bind_phone(session, member_id, person.phone, actor=actor, now=now)
        change = members.ProfileChange(nickname=person.nickname, gender="female", city="杭州", birthday=Birthday("solar", 8, 15))
        members.update_profile(session, member_id, change, actor=actor, now=now)
        points.accrue(session, member_id, Points(1000), source=Source("test", f"world:{member_id}"), reason="Gift", actor=SYSTEM, now=now)
        return Caller(member_id, {"Authorization": f"Bearer {login.access_token}"})

    return core.db.run(work)


def every_row(core: Core, *, without: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """Return the whole database, so that two looks at it can be compared.

    Arguments:
        core: whose database.
        without: tables that are no part of the comparison.
    """
    with core.db.engine.connect() as connection:
        return {
            table.name: sorted(repr(tuple(row)) for row in connection.execute(sa.select(*table.columns)))
            for table in Base.metadata.sorted_tables
            if table.name not in without
        }


def changes(before: dict[str, list[str]], after: dict[str, list[str]]) -> dict[str, tuple[list[str], list[str]]]:
    """Return what became fewer and what became more, by table; empty when nothing changed."""
    return {
        name: ([row for row in rows if row not in after[name]], [row for row in after[name] if row not in rows])
        for name, rows in before.items()
        if rows != after[name]
    }
