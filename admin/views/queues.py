"""What the product does on its own: the outbox, deliveries that were given up, periodic jobs, incidents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

import sqlalchemy as sa
from flask import request

from admin.base import ConsoleView, action, current_actor, now, page
from admin.detail import DetailPage, Figure, Panel
from admin.event_words import TOPICS, job_words, thing_words, topic_words
from admin.formats import Tag
from admin.listing import Asked, Column, Filter, RowAction, Table
from admin.readonly import ReadOnlyModelView
from server.audit import service as audit
from server.kernel.outbox import OutboxEvent
from server.kernel.text import N_
from server.operations import queries, service
from server.staff.permissions import Permission

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flask.typing import ResponseReturnValue
    from sqlalchemy.orm import Session

_DELIVERY = {"dead": Tag(N_("Given up"), "red"), "uncertain": Tag(N_("Uncertain"), "orange")}
_RUN = {"due": Tag(N_("Running"), "blue"), "done": Tag(N_("Done"), "green"), "superseded": Tag(N_("Left out"), "grey")}
_LATE_SECONDS = 120
_PERIODIC = "schedule.due"


class QueuesView(ConsoleView):
    """Health of the background work, with what a person has to decide."""

    slug = "queues"
    title = N_("Queues")
    group = "system"
    icon = "activity"
    order = 30
    permission = Permission.QUEUES_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """Show everything on one page."""
        at = now()
        with self.reading() as session:
            health = queries.queue_health(session, at)
            stuck = queries.stuck_deliveries(session)
            runs = queries.latest_runs(session, limit=50)
            incidents = queries.incidents(session)
        late = health.oldest_pending_seconds
        return DetailPage(
            title=N_("Queues"),
            buttons=[RowAction(N_("Events"), "/admin/events/", Permission.QUEUES_READ, icon="list")],
            figures=[
                Figure(N_("Waiting"), health.pending, tip=N_("Deliveries that have not begun, and events not yet handed out.")),
                Figure(N_("At work"), health.dispatched, tip=N_("Handed to a worker and not finished.")),
                Figure(
                    N_("Oldest waiting"),
                    round(late),
                    "duration",
                    tip=N_("Age of the oldest event that is not done; above two minutes something stands still."),
                    tone="red" if late > _LATE_SECONDS else "",
                ),
                Figure(N_("Given up"), health.dead, tip=N_("Failed too often; a person decides."), tone="red" if health.dead else ""),
                Figure(
                    N_("Uncertain"),
                    health.uncertain,
                    tip=N_("Broken off during a call to the outside; never repeated by itself."),
                    tone="orange" if health.uncertain else "",
                ),
            ],
            panels=[
                Panel(N_("Waiting for a decision"), table=self._stuck(stuck), name="stuck"),
                Panel(N_("Incidents"), table=self._incidents(incidents), name="incidents"),
                Panel(
                    N_("Periodic jobs"),
                    table=Table(
                        [
                            Column(N_("Job"), lambda row: job_words(row.job), second="job"),
                            Column(N_("Due"), "period", "instant"),
                            Column(N_("State"), "state", "tag", tags=_RUN),
                            Column(N_("Rows handled"), "handled", "number"),
                            Column(N_("Finished"), "finished_at", "instant"),
                        ],
                        runs,
                        empty=N_("No job has run yet"),
                    ),
                    name="jobs",
                ),
            ],
        ).render(self)

    @action("/<delivery_id>/retry", Permission.QUEUES_EDIT)
    def retry(self, delivery_id: str) -> ResponseReturnValue:
        """Put a delivery that was given up back to work."""
        wanted, actor, reason = self.uuid(delivery_id), current_actor(), request.form.get("reason", "")

        def work(session: Session) -> None:
            service.retry_delivery(session, wanted, now=now())
            audit.record(
                session, actor=actor, action="delivery.retry", subject_type="delivery", subject_id=wanted, reason=reason, now=now()
            )

        return self.change(work, done=N_("The delivery goes back to work."))

    @action("/incidents/<incident_id>/close", Permission.QUEUES_EDIT)
    def close(self, incident_id: str) -> ResponseReturnValue:
        """Close an incident by hand."""
        wanted, actor, note = self.uuid(incident_id), current_actor(), request.form.get("reason", "")

        def work(session: Session) -> None:
            service.close_incident(session, wanted, note=note, actor=actor, now=now())
            audit.record(session, actor=actor, action="incident.close", subject_type="incident", subject_id=wanted, reason=note, now=now())

        return self.change(work, done=N_("The incident is closed."))

    def _stuck(self, rows: list[queries.StuckDelivery]) -> Table:
        return Table(
            [
                Column(N_("Event"), lambda row: topic_words(row.topic), second="subscription"),
                Column(N_("State"), "state", "tag", tags=_DELIVERY),
                Column(N_("Attempts"), "attempts", "number"),
                Column(N_("Happened"), "occurred_at", "instant"),
                Column(N_("Error"), "error"),
            ],
            rows,
            lambda row: (
                [
                    RowAction(
                        N_("Try again"),
                        self.url_to("retry", delivery_id=row.id),
                        Permission.QUEUES_EDIT,
                        post=True,
                        reason=True,
                        confirm=N_("Its attempts are counted anew. Do this when the cause is gone."),
                    )
                ]
                if row.state == "dead"
                else []
            ),
            empty=N_("Nothing waits for a decision"),
            empty_hint=N_("Whatever fails is tried again by itself; only what failed too often comes here."),
        )

    def _incidents(self, rows: list[queries.IncidentView]) -> Table:
        return Table(
            [
                Column(N_("Kind"), "kind", "code", second="subject"),
                Column(N_("Details"), _details),
                Column(N_("Times"), "occurrences", "number"),
                Column(N_("Opened"), "opened_at", "instant"),
                Column(N_("Last seen"), "last_seen_at", "ago"),
            ],
            rows,
            lambda row: [RowAction(N_("Close"), self.url_to("close", incident_id=row.id), Permission.QUEUES_EDIT, post=True, reason=True)],
            empty=N_("No open incidents"),
        )


class EventsView(ReadOnlyModelView):
    """Events of the outbox as they were written: ids and small facts, no personal data."""

    slug = "events"
    title = N_("Events")
    permission = Permission.QUEUES_READ
    column_list = ("occurred_at", "topic", "aggregate_type", "aggregate_id", "expanded_at")
    column_details_list = ("occurred_at", "topic", "key", "aggregate_type", "aggregate_id", "version", "payload", "expanded_at")
    column_sortable_list = ()
    intro = N_("Facts as they were written, ids only. Periodic jobs are left out unless asked for.")
    column_words: ClassVar[Mapping[str, Callable[[str], str]]] = {"topic": topic_words, "aggregate_type": thing_words}
    column_default_sort = ("id", True)
    column_labels = {
        "occurred_at": N_("Happened"),
        "topic": N_("Event"),
        "aggregate_type": N_("Subject"),
        "aggregate_id": N_("Subject's number"),
        "expanded_at": N_("Handed out"),
        "key": N_("Key"),
        "version": N_("Version"),
        "payload": N_("Content"),
    }

    def filters(self) -> list[Filter]:
        """Return the search block."""
        return [Filter("topic", N_("Event"), "choice", TOPICS), Filter("subject", N_("Subject's number"), placeholder=N_("Whole number"))]

    def narrowed(self, query: Any, asked: Asked) -> Any:
        """Return the events asked for; the jobs of every minute only when they are."""
        topic, subject = asked.choice("topic"), asked.text("subject")
        query = query.where(OutboxEvent.topic == topic) if topic else query.where(OutboxEvent.topic != _PERIODIC)
        if not subject:
            return query
        try:
            return query.where(OutboxEvent.aggregate_id == UUID(subject))
        except ValueError:
            return query.where(sa.false())


def events_view() -> EventsView:
    """Make the view of the outbox's events."""
    return EventsView(OutboxEvent)


def _details(row: queries.IncidentView) -> str:
    facts: dict[str, Any] = row.details
    return " · ".join(f"{name}={value}" for name, value in list(facts.items())[:4]) or "–"


VIEWS = [QueuesView, events_view]
