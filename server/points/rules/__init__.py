"""What earns points, how many, how long they live, and how they are taken back. Pure: no database, no clock.

``kinds`` are the rules there are, ``documents`` reads them, ``earning`` works an order out, ``refunds`` takes back,
``policies`` are the brand's own, ``sentence`` and ``why`` put rules and results into words.
"""

from server.points.rules.documents import read_expiry, read_rule
from server.points.rules.earning import EarningContext, Given, OrderPoints, order_points
from server.points.rules.kinds import (
    CHECK_IN,
    EVENT,
    KINDS,
    MULTIPLIER,
    PER_AMOUNT,
    CheckInRule,
    DatedRule,
    EarningEvent,
    EarningLine,
    EventRule,
    MultiplierRule,
    PerAmountRule,
    Rounding,
    Rule,
    Rulebook,
    Scope,
    streak_after,
)
from server.points.rules.policies import MAX_POINTS, DebtPolicy, ExpiryPolicy, PolicySettings, RuleRef
from server.points.rules.refunds import points_of_refund, points_taken_back
from server.points.rules.sentence import Language, sentence
from server.points.rules.why import why_entry, why_line

__all__ = [
    "CHECK_IN",
    "EVENT",
    "KINDS",
    "MAX_POINTS",
    "MULTIPLIER",
    "PER_AMOUNT",
    "CheckInRule",
    "DatedRule",
    "DebtPolicy",
    "EarningContext",
    "EarningEvent",
    "EarningLine",
    "EventRule",
    "ExpiryPolicy",
    "Given",
    "Language",
    "MultiplierRule",
    "OrderPoints",
    "PerAmountRule",
    "PolicySettings",
    "Rounding",
    "Rule",
    "RuleRef",
    "Rulebook",
    "Scope",
    "order_points",
    "points_of_refund",
    "points_taken_back",
    "read_expiry",
    "read_rule",
    "sentence",
    "streak_after",
    "why_entry",
    "why_line",
]
