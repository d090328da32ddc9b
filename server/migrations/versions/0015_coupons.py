"""coupons."""

import sqlalchemy as sa
from alembic import op

from server.kernel.column_types import JsonDocument, UtcDateTime, UuidType
from server.migrations.runner import guard_append_only

revision = '0015'
down_revision = '0014'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('coupon_templates',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('code', sa.String(length=64), nullable=False),
    sa.Column('name', sa.String(length=120), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('terms', JsonDocument(), nullable=False),
    sa.Column('valid_from', UtcDateTime(), nullable=True),
    sa.Column('valid_until', UtcDateTime(), nullable=True),
    sa.Column('valid_days', sa.BigInteger(), nullable=True),
    sa.Column('starts_after_days', sa.BigInteger(), nullable=False),
    sa.Column('stock', sa.BigInteger(), nullable=True),
    sa.Column('issued', sa.BigInteger(), nullable=False),
    sa.Column('daily_stock', sa.BigInteger(), nullable=True),
    sa.Column('day', sa.Date(), nullable=True),
    sa.Column('day_issued', sa.BigInteger(), nullable=False),
    sa.Column('budget_fen', sa.BigInteger(), nullable=True),
    sa.Column('budget_committed_fen', sa.BigInteger(), nullable=False),
    sa.Column('per_member', sa.BigInteger(), nullable=True),
    sa.Column('per_member_daily', sa.BigInteger(), nullable=True),
    sa.Column('claim_from', UtcDateTime(), nullable=True),
    sa.Column('claim_until', UtcDateTime(), nullable=True),
    sa.Column('claim_centre', sa.Boolean(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('updated_at', UtcDateTime(), nullable=False),
    sa.CheckConstraint("state IN ('draft','published','paused')", name=op.f('ck_coupon_templates_state_known')),
    sa.CheckConstraint('budget_committed_fen >= 0 AND (budget_fen IS NULL OR budget_committed_fen <= budget_fen)', name=op.f('ck_coupon_templates_within_budget')),
    sa.CheckConstraint('issued >= 0 AND (stock IS NULL OR issued <= stock)', name=op.f('ck_coupon_templates_within_stock')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_coupon_templates')),
    sa.UniqueConstraint('code', name=op.f('uq_coupon_templates_code')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_coupon_templates_newest', 'coupon_templates', ['created_at', 'id'], unique=False)
    op.create_index('ix_coupon_templates_open', 'coupon_templates', ['state', 'claim_centre', 'created_at'], unique=False)
    op.create_table('coupons',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('code', sa.String(length=20), nullable=False),
    sa.Column('template_id', UuidType(), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('slot', sa.BigInteger(), nullable=True),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('terms', JsonDocument(), nullable=False),
    sa.Column('valid_from', UtcDateTime(), nullable=False),
    sa.Column('valid_until', UtcDateTime(), nullable=False),
    sa.Column('issued_at', UtcDateTime(), nullable=False),
    sa.Column('issued_day', sa.Date(), nullable=False),
    sa.Column('committed_fen', sa.BigInteger(), nullable=False),
    sa.Column('source_namespace', sa.String(length=60), nullable=False),
    sa.Column('source_key', sa.String(length=120), nullable=False),
    sa.Column('channel', sa.String(length=64), nullable=True),
    sa.Column('external_no', sa.String(length=64), nullable=True),
    sa.Column('locked_until', UtcDateTime(), nullable=True),
    sa.Column('redeemed_at', UtcDateTime(), nullable=True),
    sa.Column('discount_fen', sa.BigInteger(), nullable=True),
    sa.Column('sales_fen', sa.BigInteger(), nullable=True),
    sa.Column('reminded_at', UtcDateTime(), nullable=True),
    sa.CheckConstraint("state IN ('issued','locked','redeemed','expired','voided')", name=op.f('ck_coupons_state_known')),
    sa.CheckConstraint("state NOT IN ('locked','redeemed') OR (channel IS NOT NULL AND external_no IS NOT NULL)", name=op.f('ck_coupons_order_named')),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_coupons_member_id')),
    sa.ForeignKeyConstraint(['template_id'], ['coupon_templates.id'], name=op.f('fk_coupons_template_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_coupons')),
    sa.UniqueConstraint('code', name=op.f('uq_coupons_code')),
    sa.UniqueConstraint('source_namespace', 'source_key', name=op.f('uq_coupons_source_namespace_source_key')),
    sa.UniqueConstraint('template_id', 'member_id', 'slot', name=op.f('uq_coupons_template_id_member_id_slot')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_coupons_ending', 'coupons', ['state', 'valid_until'], unique=False)
    op.create_index('ix_coupons_locked', 'coupons', ['state', 'locked_until'], unique=False)
    op.create_index('ix_coupons_order', 'coupons', ['channel', 'external_no'], unique=False)
    op.create_index('ix_coupons_template', 'coupons', ['template_id', 'issued_at', 'id'], unique=False)
    op.create_index('ix_coupons_wallet', 'coupons', ['member_id', 'state', 'issued_at', 'id'], unique=False)
    op.create_table('coupon_transitions',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('coupon_id', UuidType(), nullable=False),
    sa.Column('event', sa.String(length=16), nullable=False),
    sa.Column('from_state', sa.String(length=16), nullable=True),
    sa.Column('to_state', sa.String(length=16), nullable=False),
    sa.Column('channel', sa.String(length=64), nullable=True),
    sa.Column('external_no', sa.String(length=64), nullable=True),
    sa.Column('refund_id', sa.String(length=120), nullable=True),
    sa.Column('discount_fen', sa.BigInteger(), nullable=True),
    sa.Column('reason', sa.String(length=300), nullable=True),
    sa.Column('actor_kind', sa.String(length=16), nullable=False),
    sa.Column('actor_ref', sa.String(length=64), nullable=False),
    sa.Column('occurred_at', UtcDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['coupon_id'], ['coupons.id'], name=op.f('fk_coupon_transitions_coupon_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_coupon_transitions')),
    sa.UniqueConstraint('coupon_id', 'refund_id', name=op.f('uq_coupon_transitions_coupon_id_refund_id')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_coupon_transitions_coupon', 'coupon_transitions', ['coupon_id', 'occurred_at'], unique=False)
    guard_append_only(op, 'coupon_transitions')


def downgrade() -> None:
    op.drop_index('ix_coupon_transitions_coupon', table_name='coupon_transitions')
    op.drop_table('coupon_transitions')
    op.drop_index('ix_coupons_wallet', table_name='coupons')
    op.drop_index('ix_coupons_template', table_name='coupons')
    op.drop_index('ix_coupons_order', table_name='coupons')
    op.drop_index('ix_coupons_locked', table_name='coupons')
    op.drop_index('ix_coupons_ending', table_name='coupons')
    op.drop_table('coupons')
    op.drop_index('ix_coupon_templates_open', table_name='coupon_templates')
    op.drop_index('ix_coupon_templates_newest', table_name='coupon_templates')
    op.drop_table('coupon_templates')
