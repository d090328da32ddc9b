"""Drives the verbs of points with a seeded die beside the plain model, and compares all books after every step.

Steps come in episodes, each a transaction with members of its own that is rolled back at its end. The same seed makes the same run; a failure
tells the seed, the step, and what happened in the episode before it. After each step: every lot, account and posting is what the model
says, hence balance = Σ postings = Σ lots, Σ of all accounts = 0, 0 ≤ left ≤ amount, and every refund is back in the lots it came from.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from server.kernel.amounts import Points
from server.kernel.clock import business_date
from server.orders.drafts import MemberRef, RefundLine
from server.orders.rules import UNKNOWN_INSTANT
from server.points import proofs, service
from server.points.errors import InsufficientPointsError, NothingToReverseError, ReservationClosedError, SourceConflictError
from server.points.models import PointsAccount, PointsEntry, PointsLot, PointsPosting
from server.points.rules import DebtPolicy, PolicySettings
from tests.conftest import START
from tests.factories.orders import a_draft, a_line, a_till_draft, an_event, an_order, told
from tests.factories.points import SYSTEM, a_member, a_source
from tests.properties.book_model import BookModel

MEMBERS = 3
EPISODE = 100
PROOF_EVERY = 25
SHANGHAI = ZoneInfo("Asia/Shanghai")
MEMBER_ACCOUNTS = ("pending", "available", "reserved", "debt")
WEIGHTS = {
    "accrue": 16,
    "redeem": 14,
    "reserve": 7,
    "close": 7,
    "give_back": 12,
    "reverse": 10,
    "adjust": 6,
    "order": 4,
    "online_order": 4,
    "send": 4,
    "cancel": 2,
    "refund": 10,
    "move_unlock": 3,
    "say_again": 6,
    "say_otherwise": 3,
    "merge": 2,
    "time_passes": 12,
}


@dataclass(eq=False)
class Sale:
    """An order, and what became of it.

    Arguments:
        draft: as it was taken in.
        cash: what was paid for each line in money.
        shares: points each line earned.
        online: it is sent to its buyer.
    """

    draft: object
    cash: list
    shares: list
    online: bool
    gift: object = None
    spending: object = None
    troubled: bool = False
    shipped_at: datetime | None = None
    delivered_at: datetime | None = None
    cancelled: bool = False
    returned: bool = False
    taken: int = 0
    refunded: list = field(default_factory=list)

    def __post_init__(self):
        self.refunded = [0] * len(self.cash)

    @property
    def target(self):
        """How many points its refunds, or its end, take back in all."""
        if self.cancelled:
            return sum(self.shares)
        return sum(share * back // paid for share, back, paid in zip(self.shares, self.refunded, self.cash, strict=True) if paid)

    @property
    def unlock_at(self):
        if self.delivered_at is not None:
            return self.delivered_at + timedelta(days=7)
        if self.shipped_at is not None and not self.troubled:
            return self.shipped_at + timedelta(days=30)
        return UNKNOWN_INSTANT


class BookMachine:
    """A run.

    Arguments:
        core: on an empty database.
        seed: decides everything.
    """

    def __init__(self, core, seed):
        self.core = core
        self.seed = seed
        self.die = random.Random(seed)
        self.done, self.met = Counter(), Counter()
        self.step = 0

    def run(self, steps, seconds=float("inf")):
        """Take so many steps, or fewer when the time is up.

        Raises:
            AssertionError: the books are not what the model says; tells where.
        """
        end = time.monotonic() + seconds
        while self.step < steps and time.monotonic() < end:
            with self.core.db._session(self.core.db.engine) as self.session:
                self._begin()
                try:
                    for _ in range(min(EPISODE, steps - self.step)):
                        self.step += 1
                        self._one_step()
                    self._prove()
                    self.met.update(self.books.met)
                except Exception as error:
                    story = "\n".join(self.story[-40:])
                    message = f"seed {self.seed}, step {self.step}: {error}\n{story}"
                    raise AssertionError(message) from error
                self.session.rollback()

    def _begin(self):
        self.now = START + timedelta(hours=self.die.randrange(24 * 200))
        self.story, self.said, self.gifts, self.spendings, self.orders = [], [], [], [], []
        self.reservations = {}
        self.ids = [a_member(self.session, now=self.now) for _ in range(MEMBERS)]
        self.books = BookModel(MEMBERS)
        service.ensure_default_rules(self.session, actor=SYSTEM, now=self.now)
        self.policy = self.die.choice([DebtPolicy.WITHIN_BALANCE, DebtPolicy.NEGATIVE, DebtPolicy.NEGATIVE])
        service.change_settings(self.session, PolicySettings(debt_policy=self.policy), actor=SYSTEM, now=self.now)

    def _one_step(self):
        told = None
        while told is None:  # there may be nothing to do it with
            name = self.die.choices(list(WEIGHTS), WEIGHTS.values())[0]
            told = getattr(self, name)()
        self.done[name] += 1
        self.story.append(f"{self.step} {self.now:%m-%d %H:%M} {name} {told}")
        self._compare()
        if self.step % PROOF_EVERY == 0:
            self._prove()

    # --- what is asked --------------------------------------------------------------------------------------------

    def _say(self, command, refusals, expected, *, member=None):
        """Send a command; it is refused exactly if the model refuses, and shows the balances that the model has then."""
        savepoint = self.session.begin_nested()
        try:
            view = command()
            savepoint.commit()
        except refusals:
            savepoint.rollback()
            view = None
        assert (view is None) == (expected is False), "the model allows it" if view is None else "the model refuses it"
        if view is None:
            return None
        assert not view.replayed
        if member is not None:
            assert (view.available_after, view.pending_after) == (self.books.available(member), self.books.pending(member))
        self.said.append((command, view.id))
        return view

    def _member(self):
        return self.die.choices(range(MEMBERS), range(MEMBERS, 0, -1))[0]

    def _to_take(self, member):
        """Return how many points to ask for: often all there are, at times one too many."""
        there = self.books.available(member)
        return max(
            self.die.choice([there, there - 1, there // 2, self.books.spendable(member, self.now), there + 1, self.die.randint(1, 40)]), 1
        )

    def _common(self):
        return {"source": a_source(), "reason": "Because", "actor": SYSTEM}

    def accrue(self):
        member, count, common = self._member(), self.die.randint(1, 40), self._common()
        expires_at = self.now + timedelta(hours=self.die.randint(1, 120)) if self.die.random() < 0.7 else None
        unlock_at = self.now + timedelta(hours=self.die.randint(-5, 60)) if self.die.random() < 0.5 else None
        gift = self.books.give(member, count, self.now, expires_at, unlock_at)
        times = {"expires_at": expires_at, "available_at": unlock_at}

        def command(count=count):
            return service.accrue(self.session, self.ids[member], Points(count), now=self.now, **times, **common)

        gift.lot.entry_id = self._say(command, (), gift, member=member).id
        gift.source = common["source"]
        self.gifts.append(gift)
        return member, count, expires_at, unlock_at

    def redeem(self):
        member, common = self._member(), self._common()
        count = self._to_take(member)
        spending = self.books.spend(member, count, self.now)

        def command(count=count):
            return service.redeem(self.session, self.ids[member], Points(count), now=self.now, **common)

        view = self._say(command, InsufficientPointsError, spending, member=member)
        if view:
            spending.entry_id = view.id
            self.spendings.append(spending)
        return member, count, bool(view)

    def reserve(self):
        member, common = self._member(), self._common()
        count, ttl = self._to_take(member) // 3 + 1, timedelta(hours=self.die.randint(1, 600))
        held = self.books.reserve(member, count, self.now, self.now + ttl)

        def command(count=count):
            return service.reserve(self.session, self.ids[member], Points(count), now=self.now, ttl=ttl, **common)

        view = self._say(command, InsufficientPointsError, held, member=member)
        if view:
            self.reservations[view.id] = held
        return member, count, bool(view)

    def close(self):
        if not self.reservations:
            return None
        entry_id = self.die.choice(list(self.reservations))
        held, pays = self.reservations[entry_id], self.die.random() < 0.6
        still = held in self.books.held
        if not still:
            del self.reservations[entry_id]

        def command(_count=None):
            if pays:
                return service.redeem_reservation(self.session, entry_id, reason="Paid", actor=SYSTEM, now=self.now)
            return service.release(self.session, entry_id, actor=SYSTEM, now=self.now)

        if not still:  # it was released when its time was over
            if pays:
                self._say(command, ReservationClosedError, expected=False)
            return entry_id, pays, "was released"
        del self.reservations[entry_id]
        spending = self.books.pay(held) if pays else self.books.release(held)
        view = self._say(command, (), expected=True)
        if pays:
            spending.entry_id = view.id
            self.spendings.append(spending)
        return entry_id, pays

    def give_back(self):
        if not self.spendings:
            return None
        spending, common = self.die.choice(self.spendings), self._common()
        count = None if self.die.random() < 0.3 else self.die.randint(1, 30)
        expected = self.books.give_back(spending, count, self.now)
        verb = self.die.choice([service.return_redemption, service.reverse])

        def command(count=count):
            points = None if count is None else Points(count)
            return verb(self.session, spending.entry_id, points, now=self.now, **common)

        return spending.entry_id, count, bool(self._say(command, NothingToReverseError, expected))

    def reverse(self):
        # Of an order's points seldom: that is what its refunds do.
        mine = [gift for gift in self.gifts if not gift.of_order or self.die.random() < 0.35]
        if not mine:
            return None
        spent = [gift for gift in mine if gift.lot.left < gift.remaining]
        gift, common = self.die.choice(spent * 2 + mine), self._common()
        count = None if self.die.random() < 0.5 else self.die.randint(1, 30)
        policy = self.die.choice([None, None, *DebtPolicy])
        expected = self.books.take_back(gift, count, self.now, policy or self.policy)

        def command(count=count):
            points = None if count is None else Points(count)
            return service.reverse(self.session, gift.lot.entry_id, points, now=self.now, policy=policy, **common)

        return gift.lot.entry_id, count, policy, bool(self._say(command, NothingToReverseError, expected, member=gift.member))

    def adjust(self):
        member, common = self._member(), self._common()
        count = self.die.randint(1, 30) if self.die.random() < 0.5 else -self._to_take(member)
        expected = self.books.adjust(member, count, self.now)

        def command(count=count):
            return service.adjust(self.session, self.ids[member], Points(count), now=self.now, **common)

        view = self._say(command, InsufficientPointsError, expected, member=member)
        if view and count > 0:
            expected.lot.entry_id = view.id
            self.gifts.append(expected)
        return member, count, bool(view)

    def say_again(self):
        """A command that was done is sent again: it answers the same entry and moves nothing."""
        if not self.said:
            return None
        command, entry_id = self.die.choice(self.said)
        view = command()
        assert (view.id, view.replayed) == (entry_id, True)
        return (entry_id,)

    def say_otherwise(self):
        """A source that was used makes nothing else."""
        if not self.said:
            return None
        command, entry_id = self.die.choice(self.said)
        if command.__defaults__ == (None,):
            return None
        savepoint = self.session.begin_nested()
        try:
            command(count=command.__defaults__[0] * 2)
        except SourceConflictError:
            savepoint.rollback()
            return (entry_id,)
        raise AssertionError("one source made two facts")

    # --- orders ---------------------------------------------------------------------------------------------------

    def order(self):
        """A sale over the counter: one point for a yuan, shared out among its lines, until the end of next year."""
        return self._sell(self._member(), a_till_draft, unlock_at=None)

    def online_order(self):
        """A sale that is paid and sent, in part with points: they are spent first, and what they paid earns nothing."""
        member = self._member()
        points = self._to_take(member) if self.die.random() < 0.5 else 0
        return self._sell(member, a_draft, unlock_at=UNKNOWN_INSTANT, points=points)

    def _sell(self, member, draft_of, *, unlock_at, points=0):
        amounts = [self.die.randint(1, 3000) for _ in range(self.die.randint(1, 3))]
        by_points = min(points * self.die.choice([1, 10, 100]), sum(amounts))
        cash = [fen - part for fen, part in zip(amounts, _split(by_points, amounts), strict=True)]
        lines = tuple(a_line(place, amount_fen=fen, quantity=1) for place, fen in enumerate(amounts, 1))
        ref = MemberRef(member_id=self.ids[member])
        draft = draft_of(now=self.now, lines=lines, member=ref, points_paid_fen=by_points, points_redeemed=points)
        order = Sale(draft, cash, _split(sum(cash) // 100, cash), online=unlock_at is not None)
        an_order(self.session, draft, now=self.now)
        if points:
            order.spending = self.books.spend(member, points, self.now) or None
            order.troubled = order.spending is None
            self.met["points that an order names are not there"] += order.troubled
            if order.spending:
                order.spending.entry_id = self._entry_of(f"order:{draft.channel}:{draft.external_no}:points")
                self.spendings.append(order.spending)
        if sum(order.shares):
            end = datetime(business_date(self.now, SHANGHAI).year + 2, 1, 1, tzinfo=SHANGHAI).astimezone(UTC)
            order.gift = self.books.give(member, sum(order.shares), self.now, end, unlock_at, of_order=True)
            order.gift.lot.entry_id = self._entry_of(f"order:{draft.channel}:{draft.external_no}")
            self.gifts.append(order.gift)
        self.orders.append(order)
        return member, draft.external_no, amounts, points, by_points

    def _entry_of(self, key):
        return self.session.scalar(sa.select(PointsEntry.id).where(PointsEntry.source_key == key))

    def refund(self):
        """Some money of one line goes back: of its points as much as of its money, whatever came before."""
        if not self.orders:
            return None
        order = self.die.choice(self.orders[-1:] * 3 + self.orders[-4:])
        place = self.die.randrange(len(order.cash))
        left = order.cash[place] - order.refunded[place]
        if not left:
            return None
        fen = left if self.die.random() < 0.4 else self.die.randint(1, left)
        line = RefundLine(place + 1, 1 if fen == order.cash[place] else 0, fen)
        self._tell(order, "refunded", refund_id=f"r{self.step}", lines=(line,))
        order.refunded[place] += fen
        self.met["a second refund takes more"] += 0 < order.taken < order.target
        self._settle(order)
        return order.draft.external_no, place + 1, fen

    def cancel(self):
        """An order is called off: what it earned is taken back, and what it spent given back, as far as neither was before."""
        open_orders = [order for order in self.orders if not order.cancelled]
        if not open_orders:
            return None
        order = self.die.choice(open_orders[-3:])
        order.cancelled = True
        order.troubled |= order.shipped_at is not None
        self._tell(order, "cancelled")
        self._settle(order)
        return (order.draft.external_no,)

    def send(self):
        """A parcel leaves, or arrives: its points are there a week after the one, or a month after the other."""
        waiting = [order for order in self.orders if order.online and not order.cancelled and order.delivered_at is None]
        if not waiting:
            return None
        order = self.die.choice(waiting)
        kind = "shipped" if order.shipped_at is None and self.die.random() < 0.6 else "delivered"
        setattr(order, f"{kind}_at", self.now)
        self._tell(order, kind)
        self._settle(order)
        return order.draft.external_no, kind

    def _tell(self, order, kind, **fields):
        event = an_event(kind, self.now, **fields)
        for _ in range(self.die.choice([1, 1, 2])):  # news comes twice at times
            told(self.session, order.draft, event, now=self.now)

    def _settle(self, order):
        """Bring the model to what the facts of an order ask for."""
        gift, more = order.gift, order.target - order.taken
        order.taken += max(more, 0)
        if gift is not None and more > 0:
            # Staff may have taken some of it by hand, or all: nobody takes it twice.
            self.met["an order's points were taken by hand before"] += gift.remaining < more
            if gift.remaining:
                assert self.books.take_back(gift, min(more, gift.remaining), self.now, self.policy)
        if order.cancelled or (order.refunded == order.cash and sum(order.cash)):
            assert gift is None or gift.remaining == 0
            if order.spending is not None and order.spending.remaining and not order.returned:
                assert self.books.give_back(order.spending, None, self.now)
            order.returned = True
        if gift is not None and gift.lot.pending:
            at = order.unlock_at
            if at <= self.now:
                self.books.unlock(gift.lot)
            else:
                gift.lot.unlock_at = at

    # --- time -----------------------------------------------------------------------------------------------------

    def move_unlock(self):
        pending = [gift for gift in self.gifts if gift.lot.pending and gift.lot.left and not gift.of_order]
        if not pending:
            return None
        gift = self.die.choice(pending)
        at = self.now + timedelta(hours=self.die.randint(-20, 100))
        assert service.unlock_source(self.session, gift.source, now=self.now, available_at=at)
        if at <= self.now:
            self.books.unlock(gift.lot)
        else:
            gift.lot.unlock_at = at
        return gift.lot.entry_id, at

    def time_passes(self):
        """The clock goes on, and some of the sweeps come, in any order; a sweep that comes again finds nothing."""
        self.now += timedelta(hours=self.die.choice([1, 5, 24, 100]))
        sweeps = self.die.sample(["unlock_due", "expire_due", "release_due"], self.die.randint(0, 3))
        for sweep in sweeps:
            due = getattr(service, sweep)
            assert due(self.session, self.now) == getattr(self.books, sweep)(self.now), sweep
            assert due(self.session, self.now) == 0, sweep
        return tuple(sweeps)

    def merge(self):
        gone, stays = self.die.sample(range(MEMBERS), 2)
        service.merge_members(self.session, self.ids[gone], self.ids[stays], now=self.now)
        if self.books.home[gone] == gone:
            self.books.merge(gone, stays)
        return gone, stays

    # --- what always holds ----------------------------------------------------------------------------------------

    def _compare(self):
        session, books = self.session, self.books
        number = {member_id: place for place, member_id in enumerate(self.ids)}
        rows = session.execute(
            sa.select(
                PointsLot.entry_id, PointsLot.member_id, PointsLot.amount, PointsLot.left_, PointsLot.reserved, PointsLot.state,
                PointsLot.unlock_at, PointsLot.expires_at,
            ).where(PointsLot.member_id.in_(self.ids))
        ).all()  # fmt: skip
        found = {row[0]: (number[row[1]], *row[2:6], row[6] if row[5] == "pending" else None, row[7]) for row in rows}
        expected = {
            lot.entry_id: (lot.owner, lot.amount, lot.left, lot.reserved, _state(lot), lot.unlock_at if lot.left else None, lot.expires_at)
            for lot in books.lots
            if lot.amount
        }
        assert found == expected, f"lots: {set(found.items()) ^ set(expected.items())}"
        accounts = {
            number[row[0]]: row[1:]
            for row in session.execute(
                sa.select(
                    PointsAccount.member_id, PointsAccount.pending, PointsAccount.available, PointsAccount.reserved, PointsAccount.debt_owed
                ).where(PointsAccount.member_id.in_(self.ids))
            ).all()
        }
        posted = {
            (row[0], None if row[1] is None else number[row[1]]): int(row[2])
            for row in session.execute(
                sa.select(PointsPosting.account, PointsPosting.member_id, sa.func.sum(PointsPosting.amount))
                .join(PointsEntry, PointsEntry.id == PointsPosting.entry_id)
                .where(PointsEntry.member_id.in_(self.ids))
                .group_by(PointsPosting.account, PointsPosting.member_id)
            ).all()
        }
        assert sum(posted.values()) == 0, "the sum of all accounts"
        for member, home in enumerate(books.home):
            balances = (books.pending(member), books.available(member), books.reserved(member), books.debt[member])
            balances = balances if home == member else (0, 0, 0, 0)
            assert tuple(accounts.get(member, (0, 0, 0, 0))) == balances, f"account of {member}"
            by_postings = tuple(posted.get((account, member), 0) for account in MEMBER_ACCOUNTS)
            assert by_postings == (*balances[:3], -balances[3]), f"postings of {member}"
        system = {account: amount for (account, owner), amount in posted.items() if owner is None and amount}
        assert system == {account: amount for account, amount in books.system.items() if amount}

    def _prove(self):
        assert proofs.prove(self.session) == []


def _split(count, weights):
    """Share out by largest remainder; who comes first has it when they are equal."""
    whole = sum(weights)
    if not whole:
        return [0] * len(weights)
    shares = [count * weight // whole for weight in weights]
    for place in sorted(range(len(weights)), key=lambda place: (-(count * weights[place] % whole), place))[: count - sum(shares)]:
        shares[place] += 1
    return shares


def _state(lot):
    if not lot.left:
        return "closed"
    return "pending" if lot.pending else "available"
