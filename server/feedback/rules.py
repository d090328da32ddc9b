"""Categories, priorities, the state machine and the deadlines of tickets. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

MAX_CONTENT_CHARS = 2000
MAX_UPLOADS = 9
EXCERPT_CHARS = 100
SCORES = range(1, 6)


class Category(StrEnum):
    """What a ticket is about."""

    PRODUCT = "product"
    SERVICE = "service"
    LOGISTICS = "logistics"
    PAYMENT = "payment"
    SUGGESTION = "suggestion"
    PRAISE = "praise"
    OTHER = "other"


class Priority(StrEnum):
    """How soon it has to be answered."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"


class Channel(StrEnum):
    """The way it came in."""

    MINI_PROGRAM = "mini_program"
    PHONE = "phone"
    STORE = "store"
    EMAIL = "email"
    PARTNER = "partner"


class State(StrEnum):
    """Where a ticket stands."""

    OPEN = "open"
    ASSIGNED = "assigned"
    WORKING = "working"
    ANSWERED = "answered"
    CLOSED = "closed"
    REOPENED = "reopened"


class Step(StrEnum):
    """What somebody does to a ticket."""

    ASSIGN = "assign"
    UNASSIGN = "unassign"
    START = "start"
    ANSWER = "answer"
    FOLLOW_UP = "follow_up"
    CLOSE = "close"
    REOPEN = "reopen"


_O, _A, _W, _N, _C, _R = State.OPEN, State.ASSIGNED, State.WORKING, State.ANSWERED, State.CLOSED, State.REOPENED

# step → {state it may be taken in: state it leads to}; a step that leads to the same state changes other things only.
TRANSITIONS: Mapping[Step, Mapping[State, State]] = {
    Step.ASSIGN: {_O: _A, _R: _A, _A: _A, _W: _W, _N: _N},
    Step.UNASSIGN: {_A: _O, _W: _O, _O: _O, _R: _R},
    Step.START: {_O: _W, _A: _W, _R: _W, _N: _W, _W: _W},
    Step.ANSWER: {_O: _N, _A: _N, _W: _N, _R: _N, _N: _N},
    Step.FOLLOW_UP: {_O: _O, _A: _A, _W: _W, _R: _R, _N: _W},
    Step.CLOSE: {_O: _C, _A: _C, _W: _C, _N: _C, _R: _C},
    Step.REOPEN: {_N: _R, _C: _R},
}

LIVE_STATES = (_O, _A, _W, _N, _R)
WAITING_FOR_STAFF = (_O, _A, _W, _R)
RATEABLE = (_N, _C)


class CloseReason(StrEnum):
    """Why a ticket was closed."""

    SOLVED = "solved"
    NO_ANSWER = "no_answer"
    DUPLICATE = "duplicate"
    NOT_FOR_US = "not_for_us"
    SPAM = "spam"


class DeadlineKind(StrEnum):
    """What has to be done by an instant."""

    FIRST_RESPONSE = "first_response"
    RESOLUTION = "resolution"


class DeadlineState(StrEnum):
    """What became of a deadline. ``paused``: the member has to speak next."""

    OPEN = "open"
    PAUSED = "paused"
    MET = "met"
    BREACHED = "breached"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class DeskSettings:
    """What the brand decides; each value can be changed in the console.

    Arguments:
        reopen_window_days: how long after the closing a member may reopen.
        auto_close_days: how long an answer waits for the member before the ticket closes by itself.
        first_response_hours: by priority.
        resolution_hours: by priority.
    """

    reopen_window_days: int
    auto_close_days: int
    first_response_hours: Mapping[Priority, int]
    resolution_hours: Mapping[Priority, int]

    def hours(self, kind: DeadlineKind, priority: Priority) -> timedelta:
        """Return how long one kind of deadline gives at one priority."""
        table = self.first_response_hours if kind is DeadlineKind.FIRST_RESPONSE else self.resolution_hours
        return timedelta(hours=table[priority])


# name → (default, least, most)
SETTING_BOUNDS: Mapping[str, tuple[int, int, int]] = {
    "reopen_window_days": (7, 0, 90),
    "auto_close_days": (7, 1, 90),
    "first_response_hours.urgent": (1, 1, 720),
    "first_response_hours.high": (4, 1, 720),
    "first_response_hours.normal": (12, 1, 720),
    "first_response_hours.low": (24, 1, 720),
    "resolution_hours.urgent": (8, 1, 2160),
    "resolution_hours.high": (24, 1, 2160),
    "resolution_hours.normal": (72, 1, 2160),
    "resolution_hours.low": (120, 1, 2160),
}


def settings_from(stored: Mapping[str, int]) -> DeskSettings:
    """Return the settings: what is stored, and the defaults for the rest."""

    def value(name: str) -> int:
        return stored.get(name, SETTING_BOUNDS[name][0])

    return DeskSettings(
        reopen_window_days=value("reopen_window_days"),
        auto_close_days=value("auto_close_days"),
        first_response_hours={priority: value(f"first_response_hours.{priority.value}") for priority in Priority},
        resolution_hours={priority: value(f"resolution_hours.{priority.value}") for priority in Priority},
    )


def next_state(state: State, step: Step) -> State | None:
    """Return the state a step leads to, or None where the state refuses it."""
    return TRANSITIONS[step].get(state)


def allowed_steps(state: State) -> frozenset[Step]:
    """Return what may be done in a state."""
    return frozenset(step for step, moves in TRANSITIONS.items() if state in moves)


def due_at(started_at: datetime, allowed: timedelta, paused_seconds: int) -> datetime:
    """Return when a deadline falls due: plain hours from its start, time spent waiting for the member not counted."""
    return started_at + allowed + timedelta(seconds=paused_seconds)


def excerpt_of(content: str) -> str:
    """Return the beginning of a text for lists, on one line."""
    line = " ".join(content.split())
    return line if len(line) <= EXCERPT_CHARS else line[: EXCERPT_CHARS - 1] + "…"


# Words that tell what a text is about when the member did not say; the first category with a hit counts.
_WORDS: Sequence[tuple[Category, tuple[str, ...]]] = (
    (Category.LOGISTICS, ("快递", "物流", "发货", "送货", "配送", "包裹", "签收", "delivery", "parcel", "courier")),
    (Category.PAYMENT, ("退款", "付款", "支付", "扣款", "发票", "重复收费", "refund", "payment", "invoice")),
    (Category.SUGGESTION, ("建议", "希望能", "能不能增加", "改进", "suggest")),
    (Category.SERVICE, ("服务", "态度", "客服", "店员", "前台", "service", "rude")),
    (Category.PRODUCT, ("质量", "坏了", "破损", "故障", "瑕疵", "少发", "发错", "屏幕", "电池", "broken", "defect")),
    (Category.PRAISE, ("表扬", "点赞", "非常满意", "很满意", "感谢", "很喜欢", "thank", "great")),
)
_URGENT_WORDS = ("起火", "冒烟", "爆炸", "受伤", "触电", "中毒", "过敏", "住院", "fire", "injur", "poison")
_HIGH_WORDS = ("投诉", "12315", "消协", "曝光", "媒体", "律师", "欺诈", "假货", "complain", "lawyer", "fraud")


def guess_category(content: str) -> Category:
    """Return what a text seems to be about; ``other`` when nothing tells."""
    text = content.lower()
    return next((category for category, words in _WORDS if any(word in text for word in words)), Category.OTHER)


def guess_priority(content: str, category: Category) -> Priority:
    """Return how soon a text wants an answer: danger to people first, threats of complaint next, praise last."""
    text = content.lower()
    if any(word in text for word in _URGENT_WORDS):
        return Priority.URGENT
    if any(word in text for word in _HIGH_WORDS):
        return Priority.HIGH
    return Priority.LOW if category in {Category.PRAISE, Category.SUGGESTION} else Priority.NORMAL


@dataclass(frozen=True, slots=True)
class ProgressStep:
    """One step of the way a member sees.

    Arguments:
        step: ``received``, ``assigned``, ``working``, ``answered``, ``closed``.
        done: it has been reached in this round.
        occurred_at: when it was last reached, if it was.
    """

    step: str
    done: bool
    occurred_at: datetime | None


_PROGRESS: Sequence[tuple[str, frozenset[State]]] = (
    ("received", frozenset({State.OPEN, State.REOPENED})),
    ("assigned", frozenset({State.ASSIGNED})),
    ("working", frozenset({State.WORKING})),
    ("answered", frozenset({State.ANSWERED})),
    ("closed", frozenset({State.CLOSED})),
)
_PLACE = {State.OPEN: 0, State.REOPENED: 0, State.ASSIGNED: 1, State.WORKING: 2, State.ANSWERED: 3, State.CLOSED: 4}


def progress_of(state: State, moves: Sequence[tuple[State, datetime]]) -> list[ProgressStep]:
    """Return the way a ticket has gone, as its member sees it.

    Arguments:
        state: where it stands now.
        moves: (state reached, when), oldest first; what came before the last reopening belongs to an earlier round.

    Returns:
        Always the same five steps. A step that was passed over counts as done once a later one is reached.
    """
    latest: dict[State, datetime] = {}
    for reached, at in moves:
        if reached is State.REOPENED:
            latest.clear()
        latest[reached] = at
    steps = []
    for place, (name, states) in enumerate(_PROGRESS):
        done = place <= _PLACE[state]
        instants = [latest[known] for known in states if known in latest]
        steps.append(ProgressStep(name, done, max(instants) if done and instants else None))
    return steps
