"""Why each line of an order earned its points, or none: the order's facts with the trace that its points left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.points import queries as points
from server.points.rules import why

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from server.orders.queries import OrderDetail
    from server.points.rules import Language


def why_lines(session: Session, order: OrderDetail, language: Language, translate: Callable[[str], str]) -> dict[int, list[str]]:
    """Return line number → why it earned its points, or none, in words.

    Arguments:
        session: any.
        order: which one.
        language: ``zh`` or ``en``.
        translate: turns the name of a rule that the product brought with it into the reader's language.
    """
    if not order.points_worked_out:
        reason = why.NOBODYS if order.member_id is None else why.CALLED_OFF if order.cancelled_at else why.NOT_PAID
        return {line.line_no: [why.why_none(reason, language)] for line in order.lines}
    trace = order.points_trace
    if trace is None and order.points_entry_id is not None:
        trace = points.details_of(session, order.points_entry_id)
    names = {code: translate(name) for code, name in points.rule_names(session).items()}
    return {line.line_no: why.why_line(trace, line.line_no, line.points, language, names) for line in order.lines}
