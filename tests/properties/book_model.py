"""The books of points as a plain model: lots are small objects in lists, accounts are sums over them. It knows nothing of the product's code.

Written from the tables of ``docs/points.md`` and the invariants of the design. What is refused answers False and changes nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

REOPEN_DAYS = 30
LATEST = datetime.max.replace(tzinfo=UTC)
NEGATIVE, WITHIN_BALANCE = "negative", "within_balance"


@dataclass(eq=False)
class ModelLot:
    """Points of one accrual. ``born`` tells which is the older; pending while ``unlock_at`` stands."""

    owner: int
    born: int
    amount: int
    left: int
    expires_at: datetime | None
    unlock_at: datetime | None
    reserved: int = 0
    entry_id: object = None

    @property
    def pending(self):
        return self.unlock_at is not None

    @property
    def free(self):
        return 0 if self.pending else self.left - self.reserved

    def over(self, now):
        return self.expires_at is not None and self.expires_at <= now


@dataclass(eq=False)
class Gift:
    """What gave points, and how many of them were not taken back yet."""

    member: int
    lot: ModelLot
    remaining: int
    of_order: bool = False


@dataclass(eq=False)
class Spending:
    """What spent points, out of which lots, and what of each part was not given back yet."""

    parts: list = field(default_factory=list)

    @property
    def remaining(self):
        return sum(part for _, part in self.parts)


@dataclass(eq=False)
class Held:
    """Points set aside."""

    parts: list
    until: datetime


class BookModel:
    """All books.

    Arguments:
        members: how many members there are; they are numbered from 0.
    """

    def __init__(self, members):
        self.home = list(range(members))
        self.lots = []
        self.debt = Counter()
        self.system = Counter()
        self.held = []
        self.met = Counter()  # the rare situations that came up
        self._born = 0

    # --- what there is --------------------------------------------------------------------------------------------

    def of(self, member):
        """Return a member's lots in the order in which they are spent: the earliest expiry, then the oldest."""
        home = self.home[member]
        lots = [lot for lot in self.lots if lot.owner == home]
        return sorted(lots, key=lambda lot: (lot.expires_at is None, lot.expires_at or LATEST, lot.born))

    def pending(self, member):
        return sum(lot.left for lot in self.of(member) if lot.pending)

    def available(self, member):
        return sum(lot.free for lot in self.of(member))

    def reserved(self, member):
        return sum(lot.reserved for lot in self.of(member))

    def spendable(self, member, now):
        return sum(lot.free for lot in self.of(member) if not lot.over(now))

    # --- what moves -----------------------------------------------------------------------------------------------

    def _open(self, member, count, expires_at, unlock_at):
        self._born += 1
        lot = ModelLot(self.home[member], self._born, count, count, expires_at, unlock_at)
        self.lots.append(lot)
        return lot

    def _repay(self, lot, how):
        """Let a lot repay what its owner owes."""
        part = min(self.debt[lot.owner], lot.left)
        self.met[f"debt is repaid by what {how}"] += bool(part)
        self.debt[lot.owner] -= part
        lot.left -= part
        return part

    def give(self, member, count, now, expires_at=None, unlock_at=None, *, of_order=False):
        if unlock_at is not None and unlock_at <= now:
            unlock_at = None
        lot = self._open(member, count, expires_at, unlock_at)
        self.system["issuer"] -= count
        if not lot.pending:
            lot.amount -= self._repay(lot, "is earned")
        return Gift(member, lot, count, of_order)

    def adjust(self, member, count, now):
        """Give, to be spent at once and never to expire, or take. What is given by hand repays nothing."""
        if count < 0 and self.spendable(member, now) < -count:
            return False
        self.system["issuer"] -= count
        if count > 0:
            return Gift(member, self._open(member, count, None, None), count)
        self._let_expire(self.of(member), now)
        self._take(self.of(member), -count)
        return True

    def _take(self, lots, count):
        parts = []
        for lot in lots:
            part = min(count, lot.free)
            if part:
                lot.left -= part
                count -= part
                parts.append([lot, part])
        return parts

    def _let_expire(self, lots, now):
        for lot in lots:
            if lot.over(now):
                self.met["a lot expires beside what is set aside in it"] += bool(lot.free and lot.reserved)
                self.system["expired"] += lot.free
                lot.left -= lot.free

    def spend(self, member, count, now):
        if self.spendable(member, now) < count:
            return False
        self._let_expire(self.of(member), now)
        self.system["redeemed"] += count
        return Spending(self._take(self.of(member), count))

    def reserve(self, member, count, now, until):
        if self.spendable(member, now) < count:
            return False
        self._let_expire(self.of(member), now)
        held = Held([], until)
        for lot in self.of(member):
            part = min(count, lot.free)
            if part:
                lot.reserved += part
                count -= part
                held.parts.append([lot, part])
        self.held.append(held)
        return held

    def release(self, held):
        self.held.remove(held)
        for lot, part in held.parts:
            lot.reserved -= part

    def pay(self, held):
        """Spend what was set aside."""
        self.release(held)
        for lot, part in held.parts:
            lot.left -= part
            self.system["redeemed"] += part
        return Spending([list(part) for part in held.parts])

    def give_back(self, spending, count, now):
        """Give back into the very lots, the one that expires last first; one that is over meanwhile is opened again."""
        count = spending.remaining if count is None else count
        if not 0 < count <= spending.remaining:
            return False
        lots = {id(lot) for lot, _ in spending.parts}
        order = [lot for lot in self.of(spending.parts[0][0].owner) if id(lot) in lots]
        self._let_expire(order, now)
        self.system["redeemed"] -= count
        for lot in reversed(order):
            for part in spending.parts:
                back = min(count, part[1])
                if part[0] is lot and back:
                    part[1] -= back
                    count -= back
                    lot.left += back
                    if lot.over(now):
                        self.met["a lot is opened again"] += 1
                        lot.expires_at = now + timedelta(days=REOPEN_DAYS)
        return True

    def take_back(self, gift, count, now, policy):
        """Take points of a gift back: its own lot, then the others that are available, then debt or forgiveness."""
        count = gift.remaining if count is None else count
        if not 0 < count <= gift.remaining:
            return False
        gift.remaining -= count
        self.system["issuer"] += count
        own = gift.lot
        others = [lot for lot in self.of(gift.member) if lot is not own and not lot.pending]
        self._let_expire(others, now)
        part = min(count, own.left if own.pending else own.free)
        own.left -= part
        missing = count - part
        missing -= sum(part for _, part in self._take(others, missing))
        self.met["a refund outruns the balance"] += bool(missing)
        if policy == NEGATIVE:
            self.debt[self.home[gift.member]] += missing
        else:
            self.system["forgiven"] -= missing
        return True

    def merge(self, gone, stays):
        gone, stays = self.home[gone], self.home[stays]
        if gone == stays:
            return
        for lot in self.lots:
            if lot.owner == gone:
                lot.owner = stays
        self.met["a debt is merged"] += bool(self.debt[gone])
        self.debt[stays] += self.debt.pop(gone, 0)
        self.home = [stays if home == gone else home for home in self.home]

    # --- what falls due -------------------------------------------------------------------------------------------

    def unlock(self, lot):
        lot.unlock_at = None
        self._repay(lot, "unlocks")

    def unlock_due(self, now):
        due = [lot for lot in self.lots if lot.pending and lot.left and lot.unlock_at <= now]
        for lot in sorted(due, key=lambda lot: (lot.expires_at is None, lot.expires_at or LATEST, lot.born)):
            self.unlock(lot)
        return len(due)

    def expire_due(self, now):
        due = [lot for lot in self.lots if lot.over(now) and lot.free]
        self._let_expire(due, now)
        return len(due)

    def release_due(self, now):
        due = [held for held in self.held if held.until <= now]
        for held in due:
            self.release(held)
        return len(due)
