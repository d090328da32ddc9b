"""What became of each message, by the oracle's record, the product's tables and the log of faults, held against each other.

Nothing here trusts the product: that a message was sent, and how often, is what the oracle says; the product's word must agree with it.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from server.notifications.models import NotificationGrant, NotificationGrantEntry, NotificationMessage
from server.notifications.rules import MOST_BUSY_CALLS, MOST_CALLS
from tasks.jobs import notifications, sending
from tests.chaos.asking import People, Visit, asked_for
from tests.chaos.nemesis import Happened
from tests.chaos.oracle import SLOW, SPOILED, Call

# How long after its answer a call may still be waiting to be written down: the time of a lock, or of a database that comes up.
_SETTLE_SECONDS = 20.0
# How long after its claim a message may still wait for its turn to be called.
_TURN_SECONDS = 30.0
# How long after a database is back the product may still answer that it is not.
_BACK_SECONDS = 6.0
_SHOWN = 60
GOOD = frozenset({"ok", SLOW})


@dataclass(frozen=True)
class Told:
    """A message as the product tells it."""

    number: int
    state: str
    reason: str | None
    attempts: int
    in_inbox: bool
    place: object
    asked_at: float
    sent_at: float | None
    claimed_at: float | None


@dataclass
class Verdict:
    """What was found."""

    violations: list[str] = field(default_factory=list)
    states: Counter = field(default_factory=Counter)
    causes: Counter = field(default_factory=Counter)
    rows: list[tuple[str, str]] = field(default_factory=list)

    def must(self, holds: bool, text: str) -> None:
        if not holds:
            self.violations.append(text)

    def some(self, what: str, found) -> None:
        """Say that there must be none of these."""
        found = sorted(found)
        self.must(not found, f"{len(found)} {what}: {found[:8]}")


def read(core) -> tuple[list[Told], int]:
    """Return every message of the product, and how many inbox rows there are."""
    message, entry = NotificationMessage, NotificationGrantEntry
    with core.db.reading() as session:
        reserved = sa.select(entry.message_id, sa.func.max(entry.occurred_at)).where(entry.kind == "reserve").group_by(entry.message_id)
        claimed = {row[0]: _seconds(row[1]) for row in session.execute(reserved)}
        columns = sa.select(
            message.id,
            message.texts,
            message.state,
            message.reason,
            message.attempts,
            message.in_inbox,
            message.member_id,
            message.created_at,
            message.sent_at,
        ).where(message.template == "points_accrued")
        told = [
            Told(
                asked_for(row.texts),
                row.state,
                row.reason,
                row.attempts,
                row.in_inbox,
                row.member_id,
                _seconds(row.created_at),
                _seconds(row.sent_at),
                claimed.get(row.id),
            )
            for row in session.execute(columns)
        ]
    return told, sum(each.in_inbox for each in told)


def _seconds(at) -> float | None:
    if isinstance(at, str):  # an aggregate of SQLite has no type
        at = datetime.fromisoformat(at)
    if at is None:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def judge(core, calls: dict[int, list[Call]], faults: list[Happened], people: People, count: int) -> Verdict:
    """Hold everything against everything.

    Arguments:
        core: of the product's database.
        calls: of each message, as the oracle saw them.
        faults: what went wrong.
        people: who was written to.
        count: how many messages were asked for.
    """
    verdict = Verdict()
    told, inbox = read(core)
    numbers = Counter(each.number for each in told)
    verdict.some("messages lost", set(range(1, count + 1)) - numbers.keys())
    verdict.some("messages nobody asked for", numbers.keys() - set(range(1, count + 1)))
    verdict.some("messages are there twice", (number for number, times in numbers.items() if times > 1))
    verdict.must(inbox == count, f"{inbox} inbox rows for {count} requests")
    _check_calls(verdict, calls)
    for each in told:
        verdict.states[each.state] += 1
        _check_one(verdict, each, calls.get(each.number, []), faults, people)
    _check_grants(verdict, core, told, people)
    _check_outbox(verdict, core)
    _count(verdict, told, calls, faults)
    return verdict


def _check_calls(verdict: Verdict, calls: dict[int, list[Call]]) -> None:
    verdict.some("messages were taken in twice", (number for number, own in calls.items() if sum(call.taken for call in own) > 1))
    # Stronger: after a call that was not definitely refused there is no other, whatever became of it.
    after_doubt = [number for number, own in calls.items() if any(not call.refused for call in own[:-1])]
    verdict.some("messages were called for again though the call before was not refused", after_doubt)


def _check_one(verdict: Verdict, each: Told, own: list[Call], faults: list[Happened], people: People) -> None:
    last, expected = own[-1] if own else None, people.expected(each.number)
    wrong = None
    if expected is not None:
        wrong = "should have been skipped" if (each.state, each.reason, last) != ("skipped", expected, None) else None
    elif each.state in {"sent", "delivered"}:
        wrong = None if last is not None and last.taken and last.how in GOOD else "sent, says the product"
    elif each.state == "failed":
        wrong = _ended_wrongly(each, last)
        verdict.causes[f"failed: {each.reason}"] += 1
    elif each.state == "uncertain":
        cause = explained(each, last, faults)
        wrong = None if cause else "uncertain without a cause"
        verdict.causes[f"uncertain: {cause}"] += 1
    else:
        wrong = "neither sent nor given up"
    if last is not None and last.how in SPOILED and each.state != "uncertain":
        wrong = "known, says the product, though the answer was spoiled"
    if wrong:
        seen = [(call.caller, call.how, call.taken, round(call.came_at, 2), call.told_at and round(call.told_at, 2)) for call in own]
        claimed = each.claimed_at and round(each.claimed_at, 2)
        verdict.violations.append(f"message {each.number} {wrong}: {each.state}/{each.reason}, claimed {claimed}, calls {seen}")


def _ended_wrongly(each: Told, last: Call | None) -> str | None:
    if last is None or not last.refused:
        return "failed without a refusal"
    if (each.reason or "").startswith("rejected_"):
        return None if last.how == "refused" else "failed too early"
    # What is refused for the moment is asked for again a number of times.
    return None if each.attempts >= (MOST_BUSY_CALLS if last.how == "busy" else MOST_CALLS) else "failed too early"


def explained(each: Told, last: Call | None, faults: list[Happened]) -> str | None:
    """Return why nobody can know what became of a message, or None when somebody should."""
    if last is not None and last.how in SPOILED:
        return f"WeChat: {last.how.removesuffix('_before')}"
    if last is None or last.refused:
        # The claim was committed and no call came of it: whoever made it was broken off, or the call was lost on its way.
        began = each.claimed_at or 0.0
        return next((f"no call came, {fault.kind}" for fault in _during(faults, began, began + _TURN_SECONDS) if _breaks_off(fault)), None)
    until = (last.told_at or last.came_at) + _SETTLE_SECONDS
    for fault in _during(faults, last.came_at - 0.1, until):
        if _breaks_off(fault) and fault.victim in {"", last.caller}:
            return f"call under way, {fault.kind}"
    return None


def _breaks_off(fault: Happened) -> bool:
    of_a_caller = fault.kind.partition(" ")[0] in {"kill", "freeze"} and fault.kind.partition(" ")[2] in {"messages", "schedule"}
    return of_a_caller or fault.of_database or fault.kind.startswith("wechat wire")


def _during(faults: list[Happened], began: float, ended: float) -> list[Happened]:
    return [fault for fault in faults if fault.began <= ended and fault.ended >= began]


def in_flight(calls: dict[int, list[Call]], fault: Happened) -> int:
    """Return how many calls the oracle had not answered when a fault began, or had answered so shortly before that nobody can have written it down."""
    mine = (call for own in calls.values() for call in own if fault.victim in {"", call.caller})
    return sum(call.came_at <= fault.ended and (call.told_at or call.came_at) >= fault.began - 0.25 for call in mine)


def _check_grants(verdict: Verdict, core, told: list[Told], people: People) -> None:
    with core.db.reading() as session:
        grant, entry = NotificationGrant, NotificationGrantEntry
        rows = {
            row.member_id: (row.available, row.reserved)
            for row in session.execute(sa.select(grant.member_id, grant.available, grant.reserved))
        }
        sums = sa.select(entry.member_id, sa.func.sum(entry.available_change), sa.func.sum(entry.reserved_change)).group_by(entry.member_id)
        ledger = {row[0]: (int(row[1]), int(row[2])) for row in session.execute(sums)}
    sent, doubtful = Counter(), Counter()
    for each in told:
        sent[each.place] += each.state in {"sent", "delivered"}
        doubtful[each.place] += each.state == "uncertain"
    verdict.must(rows == ledger, "the allowances are not what their entries add up to")
    due = {}
    for place, member_id in enumerate(people.ids):
        given = 0 if place in people.silent else people.allowances
        due[member_id] = (given - sent[member_id] - doubtful[member_id], doubtful[member_id])
    off = {member_id: (rows.get(member_id), due[member_id]) for member_id in due if rows.get(member_id) != due[member_id]}
    verdict.must(not off, f"allowances of {len(off)} members are not what was sent and what is uncertain: {list(off.values())[:4]}")


def _check_outbox(verdict: Verdict, core) -> None:
    count = sa.text(
        "SELECT d.state, count(*) FROM outbox_deliveries d JOIN outbox_events e ON e.id = d.event_id WHERE e.topic <> 'schedule.due' GROUP BY d.state"
    )
    with core.db.reading() as session:
        states = dict(session.execute(count).all())
        unseen = session.scalar(sa.text("SELECT count(*) FROM outbox_events WHERE expanded_at IS NULL AND topic <> 'schedule.due'"))
    verdict.must(states.keys() <= {"done"}, f"deliveries of events are not all done: {states}")
    verdict.must(not unseen, f"{unseen} events were never looked at")


def _count(verdict: Verdict, told: list[Told], calls: dict[int, list[Call]], faults: list[Happened]) -> None:
    all_calls = [call for own in calls.values() for call in own]
    how = Counter(call.how or "never answered" for call in all_calls)
    uncertain = sum(each.state == "uncertain" for each in told)
    spoiled = sum(call.how in SPOILED for call in all_calls)
    by_faults = uncertain - sum(number for cause, number in verdict.causes.items() if cause.startswith("uncertain: WeChat"))
    breaking = [fault for fault in faults if _breaks_off(fault)]
    bound = sum(in_flight(calls, fault) for fault in breaking)
    never_called = sum(number for cause, number in verdict.causes.items() if cause.startswith("uncertain: no call"))
    verdict.must(uncertain - by_faults <= spoiled, f"{uncertain - by_faults} uncertain by spoiled answers, of which there were {spoiled}")
    verdict.must(by_faults - never_called <= bound, f"{by_faults - never_called} uncertain by faults, with {bound} calls in flight at them")
    # A claim is committed right before its calls, so a process that ends leaves at most so many behind.
    most = sending.THREADS * notifications.LANES * len(breaking)
    verdict.must(never_called <= most, f"{never_called} were claimed and never called, by {len(breaking)} faults")
    latencies = sorted(each.sent_at - each.asked_at for each in told if each.sent_at is not None)
    verdict.rows += [
        ("messages", f"{len(told)}: " + ", ".join(f"{number} {state}" for state, number in sorted(verdict.states.items()))),
        (
            "taken in by WeChat",
            f"{sum(call.taken for call in all_calls)} of {len(all_calls)} calls; most for one message {max((sum(call.taken for call in own) for own in calls.values()), default=0)}",
        ),
        ("answers", ", ".join(f"{number} {name}" for name, number in how.most_common())),
        (
            "calls in flight",
            f"{bound} at the {len(breaking)} faults that break calls off; {by_faults} uncertain by them, {never_called} of those never called",
        ),
        *((cause, str(number)) for cause, number in sorted(verdict.causes.items())),
    ]
    if latencies:
        middle, late = latencies[len(latencies) // 2], latencies[len(latencies) * 99 // 100]
        verdict.rows.append(("asked until sent", f"p50 {middle:.1f} s, p99 {late:.1f} s, longest {latencies[-1]:.1f} s"))


def check_visits(verdict: Verdict, visits: list[Visit], faults: list[Happened]) -> None:
    """A member's request fails only while the database is away, whatever else goes wrong."""
    failed = [visit for visit in visits if not 200 <= visit.status < 300]
    away = [fault for fault in faults if fault.of_database]
    unexplained = [visit for visit in failed if not _during(away, visit.at - _BACK_SECONDS, visit.at + visit.seconds)]
    verdict.must(not unexplained, f"{len(unexplained)} requests of members failed without cause: {unexplained[:4]}")
    slowest = max((visit.seconds for visit in visits), default=0.0)
    text = f"{len(visits)}, {len(failed)} of them failed while the database was away, {len(unexplained)} otherwise; slowest {slowest:.1f} s"
    verdict.rows.append(("requests of members", text))


def write(verdict: Verdict, faults: list[Happened], folder: Path) -> None:
    """Print the table, and keep it with all violations."""
    kinds = Counter(fault.kind for fault in faults)
    verdict.rows.append(("faults", f"{len(faults)}: " + ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))))
    width = max(len(name) for name, _ in verdict.rows)
    for name, text in verdict.rows:
        print(f"{name:{width}}  {text}")
    (folder / "verdict.json").write_text(json.dumps({"rows": verdict.rows, "violations": verdict.violations}, indent=1))
    for text in verdict.violations[:_SHOWN]:
        print(f"VIOLATION  {text}")
    print(f"{len(verdict.violations)} violations; records in {folder}")
