"""Coupons that are issued by themselves: rules by version, what they gave, and how far winning back has come."""

import sqlalchemy as sa
from alembic import op

from server.kernel.column_types import JsonDocument, UtcDateTime, UuidType
from server.migrations.runner import guard_append_only

revision = '0033'
down_revision = '0032'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('coupon_trigger_rules',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('code', sa.String(length=40), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('name', sa.String(length=80), nullable=False),
    sa.Column('document', JsonDocument(), nullable=False),
    sa.Column('enabled', sa.Boolean(), nullable=False),
    sa.Column('valid_from', UtcDateTime(), nullable=True),
    sa.Column('valid_until', UtcDateTime(), nullable=True),
    sa.Column('reason', sa.String(length=300), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('created_by', sa.String(length=80), nullable=False),
    sa.CheckConstraint("kind IN ('welcome','tier_up','win_back','order_earned')", name=op.f('ck_coupon_trigger_rules_kind_known')),
    sa.CheckConstraint('valid_from IS NULL OR valid_until IS NULL OR valid_from < valid_until', name=op.f('ck_coupon_trigger_rules_window_forward')),
    sa.CheckConstraint('version >= 1', name=op.f('ck_coupon_trigger_rules_version_positive')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_coupon_trigger_rules')),
    sa.UniqueConstraint('code', 'version', name=op.f('uq_coupon_trigger_rules_code_version')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_coupon_trigger_rules_kind', 'coupon_trigger_rules', ['kind', 'code', 'version'], unique=False)
    op.create_table('coupon_trigger_gifts',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('rule_id', UuidType(), nullable=False),
    sa.Column('rule_code', sa.String(length=40), nullable=False),
    sa.Column('business_key', sa.String(length=64), nullable=False),
    sa.Column('template_id', UuidType(), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('slot', sa.String(length=80), nullable=True),
    sa.Column('order_id', UuidType(), nullable=True),
    sa.Column('state', sa.String(length=8), nullable=False),
    sa.Column('problem', sa.String(length=40), nullable=True),
    sa.Column('coupon_id', UuidType(), nullable=True),
    sa.Column('given_at', UtcDateTime(), nullable=False),
    sa.Column('ended_at', UtcDateTime(), nullable=True),
    sa.CheckConstraint("(state = 'given') = (problem IS NULL)", name=op.f('ck_coupon_trigger_gifts_problem_named')),
    sa.CheckConstraint("(state = 'refused') = (coupon_id IS NULL)", name=op.f('ck_coupon_trigger_gifts_refused_has_none')),
    sa.CheckConstraint("(state IN ('given','refused')) = (ended_at IS NULL)", name=op.f('ck_coupon_trigger_gifts_ended_has_instant')),
    sa.CheckConstraint("state IN ('given','refused','revoked','kept','over')", name=op.f('ck_coupon_trigger_gifts_state_known')),
    sa.ForeignKeyConstraint(['coupon_id'], ['coupons.id'], name=op.f('fk_coupon_trigger_gifts_coupon_id')),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_coupon_trigger_gifts_member_id')),
    sa.ForeignKeyConstraint(['order_id'], ['orders.id'], name=op.f('fk_coupon_trigger_gifts_order_id')),
    sa.ForeignKeyConstraint(['rule_id'], ['coupon_trigger_rules.id'], name=op.f('fk_coupon_trigger_gifts_rule_id')),
    sa.ForeignKeyConstraint(['template_id'], ['coupon_templates.id'], name=op.f('fk_coupon_trigger_gifts_template_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_coupon_trigger_gifts')),
    sa.UniqueConstraint('coupon_id', name=op.f('uq_coupon_trigger_gifts_coupon_id')),
    sa.UniqueConstraint('rule_code', 'business_key', 'template_id', name=op.f('uq_coupon_trigger_gifts_rule_code_business_key_template_id')),
    sa.UniqueConstraint('rule_code', 'member_id', 'slot', 'template_id', name=op.f('uq_coupon_trigger_gifts_rule_code_member_id_slot_template_id')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_coupon_trigger_gifts_member', 'coupon_trigger_gifts', ['member_id', 'given_at', 'id'], unique=False)
    op.create_index('ix_coupon_trigger_gifts_newest', 'coupon_trigger_gifts', ['given_at', 'id'], unique=False)
    op.create_index('ix_coupon_trigger_gifts_rule', 'coupon_trigger_gifts', ['rule_code', 'given_at', 'id'], unique=False)
    op.create_index(op.f('ix_coupon_trigger_gifts_order_id'), 'coupon_trigger_gifts', ['order_id'], unique=False)
    op.create_table('coupon_trigger_marks',
    sa.Column('rule_code', sa.String(length=40), nullable=False),
    sa.Column('done_until', sa.Date(), nullable=False),
    sa.Column('updated_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('rule_code', name=op.f('pk_coupon_trigger_marks')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    # Who has not bought since a day is asked by the day of the last payment.
    op.create_index('ix_orders_paid', 'orders', ['paid_at', 'member_id'], unique=False)
    guard_append_only(op, 'coupon_trigger_rules')


def downgrade() -> None:
    op.drop_index('ix_orders_paid', table_name='orders')
    op.drop_table('coupon_trigger_marks')
    op.drop_table('coupon_trigger_gifts')
    op.drop_table('coupon_trigger_rules')
