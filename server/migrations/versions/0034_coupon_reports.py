"""Where coupons are redeemed, what gifts cost, indexes of the report, and alarms of stock and budget."""

import sqlalchemy as sa
from alembic import op

from server.kernel.column_types import JsonDocument, UtcDateTime, UuidType

revision = '0034'
down_revision = '0031'
branch_labels = None
depends_on = None

_CHUNK = 500


def upgrade() -> None:
    op.add_column('coupons', sa.Column('gift_fen', sa.BigInteger(), nullable=True))
    op.add_column('coupons', sa.Column('store_code', sa.String(length=64), nullable=True))
    # A coupon told nothing of its store so far; the order it was redeemed for may.
    op.execute(
        "UPDATE coupons SET store_code = (SELECT COALESCE(orders.store_code, '') FROM orders "
        "WHERE orders.channel = coupons.channel AND orders.external_no = coupons.external_no) WHERE state = 'redeemed'"
    )
    _value_gifts()
    op.create_index(
        'ix_coupons_issued_day', 'coupons', ['issued_day', 'template_id', 'source_namespace', 'state', 'valid_until'], unique=False
    )
    op.create_index('ix_coupons_redeemed', 'coupons', ['redeemed_at'], unique=False)
    op.create_index('ix_coupon_transitions_event', 'coupon_transitions', ['event', 'occurred_at'], unique=False)
    op.create_table('coupon_limit_alarms',
    sa.Column('template_id', UuidType(), nullable=False),
    sa.Column('what', sa.String(length=8), nullable=False),
    sa.Column('level', sa.BigInteger(), nullable=False),
    sa.Column('limit_value', sa.BigInteger(), nullable=False),
    sa.Column('raised_at', UtcDateTime(), nullable=False),
    sa.CheckConstraint("what IN ('stock','budget')", name=op.f('ck_coupon_limit_alarms_what_known')),
    sa.CheckConstraint('level IN (80,100)', name=op.f('ck_coupon_limit_alarms_level_known')),
    sa.ForeignKeyConstraint(['template_id'], ['coupon_templates.id'], name=op.f('fk_coupon_limit_alarms_template_id')),
    sa.PrimaryKeyConstraint('template_id', 'what', name=op.f('pk_coupon_limit_alarms')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )


def downgrade() -> None:
    op.drop_table('coupon_limit_alarms')
    op.drop_index('ix_coupon_transitions_event', table_name='coupon_transitions')
    op.drop_index('ix_coupons_redeemed', table_name='coupons')
    op.drop_index('ix_coupons_issued_day', table_name='coupons')
    with op.batch_alter_table('coupons') as batch:
        batch.drop_column('store_code')
        batch.drop_column('gift_fen')


def _value_gifts() -> None:
    """Write down what the gifts given so far were worth, from the terms they were issued with."""
    coupons = sa.table(
        'coupons',
        sa.column('id', UuidType()),
        sa.column('template_id', UuidType()),
        sa.column('state', sa.String()),
        sa.column('terms', JsonDocument()),
        sa.column('gift_fen', sa.BigInteger()),
    )
    templates = sa.table('coupon_templates', sa.column('id', UuidType()), sa.column('kind', sa.String()))
    given = (
        sa.select(coupons.c.id, coupons.c.terms)
        .join(templates, templates.c.id == coupons.c.template_id)
        .where(templates.c.kind == 'gift', coupons.c.state == 'redeemed')
        .order_by(coupons.c.id)
    )
    last = None
    while rows := op.get_bind().execute((given if last is None else given.where(coupons.c.id > last)).limit(_CHUNK)).all():
        for row in rows:
            value = (row.terms or {}).get('gift_value_fen')
            if value:
                op.execute(sa.update(coupons).where(coupons.c.id == row.id).values(gift_fen=value))
        last = rows[-1].id
