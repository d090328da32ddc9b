"""``flask --app wsgi import-campaigns FOLDER``: take over a retailer's coupon campaigns as templates, coupons and redemptions.

Safe to repeat: a template, coupon or redemption that is there already stays as it is. Which figures are derived, and how, is told by
``tasks/campaign_files.py`` and in docs/coupons.md; the command names them as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from flask import current_app
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from server.coupons import queries, service
from server.coupons.rules.terms import Kind, Limits, TemplateDraft, Terms, Validity
from server.kernel.actors import SystemActor
from server.kernel.clock import end_of_day, start_of_day
from server.kernel.errors import DomainError
from server.kernel.source import Source
from server.members import queries as member_queries
from server.members import service as members
from tasks.campaign_files import CHANNEL, ZONE, Campaign, Redemption, read_campaigns

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.bootstrap import Core

ACTOR = SystemActor("campaigns.import")
_CHUNK = 100
_NOTE = (
    "Taken from the files: campaigns, households, redemptions. Derived: a coupon for each household mailed (one more for each further "
    "redemption), what a coupon took off and its sale (from the day's baskets; unknown where none shows it), the face value (the median)."
)


@dataclass(slots=True)
class Report:
    """What an import found in the database when it was done."""

    templates: int = 0
    coupons: int = 0
    redemptions: int = 0
    unknown_sales: int = 0
    new_members: int = 0


@click.command("import-campaigns")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def command(folder: Path) -> None:
    """Take over campaigns from FOLDER, the files of docs/coupons.md «Campaigns of the past»."""
    core: Core = current_app.extensions["huiban"]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        campaigns = read_campaigns(folder)
        with Progress(*columns, console=Console(stderr=True)) as progress:
            bar = progress.add_task("households", total=sum(len(each.held()) for each in campaigns))
            report = run_import(core, campaigns, advance=lambda done: progress.advance(bar, done))
    except (DomainError, OSError, ValueError) as refusal:
        raise click.ClickException(str(refusal)) from refusal
    click.echo(
        f"{report.templates} templates, {report.coupons} coupons, {report.redemptions} redeemed "
        f"({report.unknown_sales} of them on sales unknown); {report.new_members} new members"
    )
    click.echo(_NOTE)


def run_import(core: Core, campaigns: list[Campaign], *, advance: Callable[[int], object] = lambda _: None) -> Report:
    """Take campaigns over; a chunk of households is one transaction.

    Arguments:
        core: of this process.
        campaigns: as they were read.
        advance: told how many households are done.
    """
    report = Report()
    for campaign in campaigns:
        template_id = core.db.run(lambda session, campaign=campaign: template_of(session, campaign))  # type: ignore[misc]
        report.templates += 1
        held = campaign.held()
        for start in range(0, len(held), _CHUNK):
            chunk = held[start : start + _CHUNK]
            report.new_members += _take_in(core, campaign, template_id, chunk)
            advance(len(chunk))
        report.coupons += campaign.issued
        report.redemptions += len(campaign.redemptions)
        report.unknown_sales += sum(each.discount_fen is None for each in campaign.redemptions)
    core.db.run(lambda session: service.expire_due(session, core.clock.now()))
    return report


def template_of(session: Session, campaign: Campaign) -> UUID:
    """Return the template of a campaign; make it if it is not there."""
    code = f"campaign-{campaign.number}"
    known = queries.template_by_code(session, code)
    if known is not None:
        return known.id
    begins, ends = start_of_day(campaign.first, ZONE), end_of_day(campaign.last, ZONE)
    terms = Terms(
        f"Campaign {campaign.number} ({campaign.kind})",
        Kind.AMOUNT_OFF,
        amount_off_fen=campaign.face_fen,
        description=f"{campaign.coupons} coupons on {campaign.products} products were mailed. The face value is derived from the tills.",
    )
    draft = TemplateDraft(code, terms, Validity(begins, ends), Limits(per_member=None), claim_centre=False)
    template_id = service.create_template(session, draft, actor=ACTOR, now=begins)
    service.publish_template(session, template_id, actor=ACTOR, now=begins)
    return template_id


def member_of(session: Session, household: str, *, now: datetime) -> tuple[UUID, bool]:
    """Return the member that a household is, and whether they were made just now."""
    known = member_queries.by_external(session, CHANNEL, household)
    if known is not None:
        return known, False
    return members.enrol_unclaimed(session, phone=None, external_ids={CHANNEL: household}, actor=ACTOR, now=now), True


def hand_out(session: Session, campaign: Campaign, template_id: UUID, member_id: UUID, household: str, used: list[Redemption]) -> None:
    """Give a household, as a member, the coupons of a campaign and redeem those that came back."""
    mailed = start_of_day(campaign.first, ZONE)
    for number in range(max(1, len(used))):
        source = Source("campaign.import", f"{campaign.number}:{household}:{number}")
        coupon = service.issue(session, member_id, template_id, source=source, actor=ACTOR, now=mailed)
        if number < len(used) and coupon.version == 1:  # issued just now; what became of it since stays
            back = used[number]
            service.redeem(
                session,
                coupon.id,
                channel=CHANNEL,
                external_no=back.external_no,
                discount_fen=back.discount_fen,
                sales_fen=back.sales_fen,
                actor=ACTOR,
                now=back.at,
            )


def _take_in(core: Core, campaign: Campaign, template_id: UUID, chunk: list[tuple[str, list[Redemption]]]) -> int:
    """Take some households in, in one transaction; return how many new members they are."""

    def work(session: Session) -> int:
        new = 0
        for household, used in chunk:
            member_id, made = member_of(session, household, now=core.clock.now())
            hand_out(session, campaign, template_id, member_id, household, used)
            new += made
        return new

    return core.db.run(work)
