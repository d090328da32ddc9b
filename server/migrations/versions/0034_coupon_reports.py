"""Redemptions of coupons with what reports sum up, indexes of the report, and alarms of stock and budget."""

from itertools import groupby
from typing import Any

import sqlalchemy as sa
from alembic import op

from config.settings import load_settings
from server.kernel.amounts import split_by_largest_remainder
from server.kernel.clock import business_date
from server.kernel.column_types import JsonDocument, UtcDateTime, UuidType

revision = '0034'
down_revision = '0033'
branch_labels = None
depends_on = None

_CHUNK = 1000


def upgrade() -> None:
    op.create_table('coupon_redemptions',
    sa.Column('coupon_id', UuidType(), nullable=False),
    sa.Column('template_id', UuidType(), nullable=False),
    sa.Column('source_namespace', sa.String(length=60), nullable=False),
    sa.Column('channel', sa.String(length=64), nullable=False),
    sa.Column('external_no', sa.String(length=64), nullable=False),
    sa.Column('place', sa.BigInteger(), nullable=False),
    sa.Column('store_code', sa.String(length=64), nullable=True),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('cost_fen', sa.BigInteger(), nullable=True),
    sa.Column('sales_fen', sa.BigInteger(), nullable=True),
    sa.Column('part_fen', sa.BigInteger(), nullable=False),
    sa.CheckConstraint('place >= 1 AND part_fen >= 0', name=op.f('ck_coupon_redemptions_counts_positive')),
    sa.ForeignKeyConstraint(['coupon_id'], ['coupons.id'], name=op.f('fk_coupon_redemptions_coupon_id')),
    sa.ForeignKeyConstraint(['template_id'], ['coupon_templates.id'], name=op.f('fk_coupon_redemptions_template_id')),
    sa.PrimaryKeyConstraint('coupon_id', name=op.f('pk_coupon_redemptions')),
    sa.UniqueConstraint('channel', 'external_no', 'place', name=op.f('uq_coupon_redemptions_channel_external_no_place')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_coupon_redemptions_day', 'coupon_redemptions', ['day', 'template_id'], unique=False)
    op.create_index('ix_coupon_redemptions_template', 'coupon_redemptions', ['template_id', 'day'], unique=False)
    _take_over()
    op.create_index(
        'ix_coupons_issued_day', 'coupons', ['issued_day', 'template_id', 'source_namespace', 'state', 'valid_until'], unique=False
    )
    op.create_index('ix_coupon_transitions_event', 'coupon_transitions', ['event', 'occurred_at'], unique=False)
    op.create_table('coupon_limit_alarms',
    sa.Column('template_id', UuidType(), nullable=False),
    sa.Column('what', sa.String(length=8), nullable=False),
    sa.Column('percent', sa.BigInteger(), nullable=False),
    sa.Column('limit_value', sa.BigInteger(), nullable=False),
    sa.Column('raised_at', UtcDateTime(), nullable=False),
    sa.CheckConstraint("what IN ('stock','budget')", name=op.f('ck_coupon_limit_alarms_what_known')),
    sa.CheckConstraint('percent IN (80,100)', name=op.f('ck_coupon_limit_alarms_percent_known')),
    sa.ForeignKeyConstraint(['template_id'], ['coupon_templates.id'], name=op.f('fk_coupon_limit_alarms_template_id')),
    sa.PrimaryKeyConstraint('template_id', 'what', name=op.f('pk_coupon_limit_alarms')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )


def downgrade() -> None:
    op.drop_table('coupon_limit_alarms')
    op.drop_index('ix_coupon_transitions_event', table_name='coupon_transitions')
    op.drop_index('ix_coupons_issued_day', table_name='coupons')
    op.drop_table('coupon_redemptions')


def _take_over() -> None:
    """Write the redemptions of the coupons that stand redeemed, order by order, in the shop's business days."""
    coupons = sa.table(
        'coupons',
        sa.column('id', UuidType()), sa.column('template_id', UuidType()), sa.column('state', sa.String()),
        sa.column('terms', JsonDocument()), sa.column('source_namespace', sa.String()), sa.column('channel', sa.String()),
        sa.column('external_no', sa.String()), sa.column('redeemed_at', UtcDateTime()),
        sa.column('discount_fen', sa.BigInteger()), sa.column('sales_fen', sa.BigInteger()),
    )
    orders = sa.table(
        'orders', sa.column('channel', sa.String()), sa.column('external_no', sa.String()), sa.column('store_code', sa.String())
    )
    redemptions = sa.table(
        'coupon_redemptions',
        sa.column('coupon_id', UuidType()), sa.column('template_id', UuidType()), sa.column('source_namespace', sa.String()),
        sa.column('channel', sa.String()), sa.column('external_no', sa.String()), sa.column('place', sa.BigInteger()),
        sa.column('store_code', sa.String()), sa.column('day', sa.Date()), sa.column('cost_fen', sa.BigInteger()),
        sa.column('sales_fen', sa.BigInteger()), sa.column('part_fen', sa.BigInteger()),
    )
    bind, key = op.get_bind(), (coupons.c.channel, coupons.c.external_no)
    store = (
        sa.select(sa.func.coalesce(orders.c.store_code, ''))
        .where(orders.c.channel == coupons.c.channel, orders.c.external_no == coupons.c.external_no)
        .correlate(coupons)
        .scalar_subquery()
    )
    redeemed = sa.select(coupons, store.label('store_code')).where(coupons.c.state == 'redeemed')
    # Whole orders at a time, each read once: the next piece begins after the last order of this one.
    numbers = sa.select(*key).where(coupons.c.state == 'redeemed').distinct().order_by(*key).limit(_CHUNK)
    last: Any = None
    zone = None
    while True:
        beyond = [] if last is None else [sa.or_(key[0] > last[0], sa.and_(key[0] == last[0], key[1] > last[1]))]
        piece = bind.execute(numbers.where(*beyond)).all()
        if not piece:
            return
        zone = zone or load_settings().zone
        last = piece[-1]
        upto = sa.or_(key[0] < last[0], sa.and_(key[0] == last[0], key[1] <= last[1]))
        rows = bind.execute(redeemed.where(*beyond, upto).order_by(*key, coupons.c.id)).all()
        bind.execute(sa.insert(redemptions), [one for _, of in groupby(rows, lambda row: (row.channel, row.external_no)) for one in _redemptions_of(list(of), zone)])


def _redemptions_of(rows: list[Any], zone: Any) -> list[dict[str, Any]]:
    gifts = [(row.terms or {}).get('gift_value_fen') or 0 for row in rows]
    costs = [None if row.discount_fen is None and not gift else (row.discount_fen or 0) + gift for row, gift in zip(rows, gifts, strict=True)]
    weights = [cost or 0 for cost in costs]
    sales = min((row.sales_fen for row in rows if row.sales_fen is not None), default=0)
    parts = split_by_largest_remainder(sales, weights if any(weights) else [1] * len(rows))
    return [
        {
            'coupon_id': row.id, 'template_id': row.template_id, 'source_namespace': row.source_namespace, 'channel': row.channel,
            'external_no': row.external_no, 'place': place, 'store_code': row.store_code, 'day': business_date(row.redeemed_at, zone),
            'cost_fen': cost, 'sales_fen': row.sales_fen, 'part_fen': part,
        }
        for place, (row, cost, part) in enumerate(zip(rows, costs, parts, strict=True), start=1)
    ]
