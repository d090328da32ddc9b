"""The clients of the shop test: members, tills and staff that claim, use, give away and take back coupons, all at once."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

import sqlalchemy as sa

from server.coupons import service
from server.coupons.models import Coupon
from server.kernel.actors import MemberActor
from tests.factories.coupons import STAFF, SYSTEM, TILL
from tests.properties import bank


class Client(bank.Client):
    """One client of the shop. Orders, refunds and issues have numbers that several clients think of at the same time."""

    weights: ClassVar[dict[str, int]] = {
        "claim": 14, "issue": 8, "code": 10, "word": 6, "lock": 12, "unlock": 4, "redeem": 16, "refund": 10,
        "offer": 9, "accept": 12, "refuse": 3, "withdraw": 3, "void": 2, "sweep": 3,
    }  # fmt: skip

    # Links that were shared: every client of the process may answer them.
    links: ClassVar[list[str]] = []

    def told(self, lines):
        return lines

    def template(self, name):
        return UUID(self.plan.facts["templates"][name])

    def order(self):
        place, _ = self.one("order")
        return {"channel": "mall", "external_no": f"o{place}", "actor": TILL, "now": self.now()}

    def any_of(self, session, *states):
        """Return a coupon in one of some states, or None: read without a lock, as a screen is."""
        rows = session.scalars(sa.select(Coupon.id).where(Coupon.state.in_(states)).order_by(Coupon.id).limit(400)).all()
        return self.die.choice(rows) if rows else None

    def claim(self):
        member = self.member()
        return lambda session: [
            f"issue {service.claim(session, member, self.template('claimed'), actor=MemberActor(member), now=self.now()).id}"
        ]

    def issue(self):
        place, common = self.one("issue")
        member = self.members[place % len(self.members)]

        def command(session):
            made = service.issue(session, member, self.template("issued"), source=common["source"], actor=STAFF, now=self.now())
            return [f"issue {made.id}"]

        return command

    def code(self):
        member, code = self.member(), self.die.choice(self.plan.facts["codes"])
        return lambda session: self.by_code(session, member, code)

    def word(self):
        member = self.member()
        return lambda session: self.by_code(session, member, self.plan.facts["word"])

    def by_code(self, session, member, code):
        done = service.claim_by_code(session, member, code, actor=MemberActor(member), now=self.now())
        return [f"issue {done.coupon.id}"] if done.coupon else []

    def lock(self):
        order = self.order()

        def command(session):
            coupon = self.any_of(session, "issued")
            return [f"lock {service.lock(session, coupon, ttl_seconds=7200, **order).id}"] if coupon else None

        return command

    def unlock(self):
        def command(session):
            row = session.execute(sa.select(Coupon.id, Coupon.external_no).where(Coupon.state == "locked").limit(1)).one_or_none()
            if row is not None:
                service.unlock(session, row.id, channel="mall", external_no=row.external_no, actor=SYSTEM, now=self.now())

        return command

    def redeem(self):
        order = self.order()

        def command(session):
            coupon = self.any_of(session, "issued", "locked")
            if coupon is None:
                return None
            done = service.redeem(session, coupon, discount_fen=2000, sales_fen=12000, **order)
            return [f"redeem {done.id} {order['external_no']}"]

        return command

    def refund(self):
        place, _ = self.one("refund")

        def command(session):
            coupon = self.any_of(session, "redeemed")
            if coupon is not None:
                service.return_(session, coupon, refund_id=f"r{place}", actor=SYSTEM, now=self.now())

        return command

    def offer(self):
        def command(session):
            row = session.execute(
                sa.select(Coupon.id, Coupon.member_id)
                .where(Coupon.state == "issued", Coupon.template_id == self.template("claimed"))
                .limit(50)
            ).all()
            if not row:
                return None
            coupon_id, giver = self.die.choice(row)
            made = service.offer(session, giver, coupon_id, actor=MemberActor(giver), now=self.now())
            self.links.append(made.token)
            return [f"offer {coupon_id}"]

        return command

    def accept(self):
        if not self.links:
            return None
        token, friend = self.die.choice(self.links[-8:]), self.member()
        return lambda session: [f"issue {service.accept(session, friend, token, actor=MemberActor(friend), now=self.now()).id}"]

    def refuse(self):
        if not self.links:
            return None
        token, friend = self.die.choice(self.links[-8:]), self.member()

        def command(session):
            service.refuse(session, friend, token, actor=MemberActor(friend), now=self.now())

        return command

    def withdraw(self):
        def command(session):
            row = session.execute(sa.select(Coupon.id, Coupon.member_id).where(Coupon.state == "offered").limit(1)).one_or_none()
            if row is not None:
                service.withdraw(session, row.member_id, row.id, actor=MemberActor(row.member_id), now=self.now())

        return command

    def void(self):
        def command(session):
            coupon = self.any_of(session, "issued", "offered")
            if coupon is not None:
                service.void(session, coupon, reason="mistake", actor=STAFF, now=self.now())

        return command

    def sweep(self):
        sweep = self.die.choice([service.expire_due, service.release_due, service.lapse_due])

        def command(session):
            sweep(session, self.now(), limit=20)

        return command
