"""rewards."""

import sqlalchemy as sa
from alembic import op

from server.kernel.column_types import JsonDocument, UtcDateTime, UuidType
from server.migrations.runner import guard_append_only

revision = '0021'
down_revision = '0020'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('points_payment_policies',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('points_per_yuan', sa.BigInteger(), nullable=False),
    sa.Column('max_percent', sa.BigInteger(), nullable=False),
    sa.Column('max_points', sa.BigInteger(), nullable=True),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('created_by', sa.String(length=80), nullable=False),
    sa.CheckConstraint('max_percent >= 0 AND max_percent <= 100', name=op.f('ck_points_payment_policies_percent_known')),
    sa.CheckConstraint('max_points IS NULL OR max_points >= 1', name=op.f('ck_points_payment_policies_cap_positive')),
    sa.CheckConstraint('points_per_yuan >= 1', name=op.f('ck_points_payment_policies_worth_something')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_points_payment_policies')),
    sa.UniqueConstraint('version', name=op.f('uq_points_payment_policies_version')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('rewards',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('code', sa.String(length=64), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('name', sa.String(length=120), nullable=False),
    sa.Column('description', sa.Text(), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('points', sa.BigInteger(), nullable=False),
    sa.Column('cash_fen', sa.BigInteger(), nullable=False),
    sa.Column('tiers', JsonDocument(), nullable=False),
    sa.Column('coupon_template_id', UuidType(), nullable=True),
    sa.Column('picture_id', UuidType(), nullable=True),
    sa.Column('stock', sa.BigInteger(), nullable=True),
    sa.Column('issued', sa.BigInteger(), nullable=False),
    sa.Column('daily_stock', sa.BigInteger(), nullable=True),
    sa.Column('day', sa.Date(), nullable=True),
    sa.Column('day_issued', sa.BigInteger(), nullable=False),
    sa.Column('per_member', sa.BigInteger(), nullable=True),
    sa.Column('per_member_daily', sa.BigInteger(), nullable=True),
    sa.Column('on_sale_from', UtcDateTime(), nullable=True),
    sa.Column('on_sale_until', UtcDateTime(), nullable=True),
    sa.Column('pay_minutes', sa.BigInteger(), nullable=False),
    sa.Column('voucher_days', sa.BigInteger(), nullable=True),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('updated_at', UtcDateTime(), nullable=False),
    sa.CheckConstraint("(kind = 'coupon') = (coupon_template_id IS NOT NULL)", name=op.f('ck_rewards_coupon_named')),
    sa.CheckConstraint("kind IN ('coupon','goods','service')", name=op.f('ck_rewards_kind_known')),
    sa.CheckConstraint("state IN ('draft','published','paused')", name=op.f('ck_rewards_state_known')),
    sa.CheckConstraint('day_issued >= 0', name=op.f('ck_rewards_day_not_negative')),
    sa.CheckConstraint('issued >= 0 AND (stock IS NULL OR issued <= stock)', name=op.f('ck_rewards_within_stock')),
    sa.CheckConstraint('points > 0 AND cash_fen >= 0', name=op.f('ck_rewards_price_positive')),
    sa.ForeignKeyConstraint(['coupon_template_id'], ['coupon_templates.id'], name=op.f('fk_rewards_coupon_template_id')),
    sa.ForeignKeyConstraint(['picture_id'], ['uploads.id'], name=op.f('fk_rewards_picture_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_rewards')),
    sa.UniqueConstraint('code', name=op.f('uq_rewards_code')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_rewards_newest', 'rewards', ['created_at', 'id'], unique=False)
    op.create_index('ix_rewards_open', 'rewards', ['state', 'created_at'], unique=False)
    op.create_table('reward_redemptions',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('redemption_no', sa.String(length=24), nullable=False),
    sa.Column('reward_id', UuidType(), nullable=False),
    sa.Column('reward_version', sa.BigInteger(), nullable=False),
    sa.Column('reward_name', sa.String(length=120), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('slot', sa.BigInteger(), nullable=True),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('points', sa.BigInteger(), nullable=False),
    sa.Column('cash_fen', sa.BigInteger(), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('reservation_id', UuidType(), nullable=True),
    sa.Column('pay_until', UtcDateTime(), nullable=True),
    sa.Column('entry_id', UuidType(), nullable=True),
    sa.Column('return_entry_id', UuidType(), nullable=True),
    sa.Column('paid_namespace', sa.String(length=60), nullable=True),
    sa.Column('payment_ref', sa.String(length=120), nullable=True),
    sa.Column('paid_at', UtcDateTime(), nullable=True),
    sa.Column('refund_state', sa.String(length=8), nullable=False),
    sa.Column('refund_ref', sa.String(length=120), nullable=True),
    sa.Column('receiver_name', sa.String(length=500), nullable=True),
    sa.Column('receiver_phone', sa.String(length=255), nullable=True),
    sa.Column('receiver_address', sa.Text(), nullable=True),
    sa.Column('carrier', sa.String(length=64), nullable=True),
    sa.Column('tracking_no', sa.String(length=64), nullable=True),
    sa.Column('voucher_code', sa.String(length=20), nullable=True),
    sa.Column('voucher_until', UtcDateTime(), nullable=True),
    sa.Column('coupon_id', UuidType(), nullable=True),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('placed_at', UtcDateTime(), nullable=True),
    sa.Column('fulfilled_at', UtcDateTime(), nullable=True),
    sa.Column('cancelled_at', UtcDateTime(), nullable=True),
    sa.CheckConstraint("kind IN ('coupon','goods','service')", name=op.f('ck_reward_redemptions_kind_known')),
    sa.CheckConstraint("refund_state = 'none' OR (state = 'cancelled' AND paid_at IS NOT NULL)", name=op.f('ck_reward_redemptions_refund_of_payment')),
    sa.CheckConstraint("refund_state IN ('none','due','done')", name=op.f('ck_reward_redemptions_refund_known')),
    sa.CheckConstraint("state <> 'cancelled' OR (slot IS NULL AND cancelled_at IS NOT NULL)", name=op.f('ck_reward_redemptions_slot_given_back')),
    sa.CheckConstraint("state <> 'cancelled' OR entry_id IS NULL OR return_entry_id IS NOT NULL", name=op.f('ck_reward_redemptions_points_given_back')),
    sa.CheckConstraint("state <> 'reserved' OR (reservation_id IS NOT NULL AND pay_until IS NOT NULL)", name=op.f('ck_reward_redemptions_points_reserved')),
    sa.CheckConstraint("state IN ('reserved','placed','fulfilled','cancelled')", name=op.f('ck_reward_redemptions_state_known')),
    sa.CheckConstraint("state NOT IN ('placed','fulfilled') OR cash_fen = 0 OR paid_at IS NOT NULL", name=op.f('ck_reward_redemptions_cash_paid')),
    sa.CheckConstraint("state NOT IN ('placed','fulfilled') OR entry_id IS NOT NULL", name=op.f('ck_reward_redemptions_points_redeemed')),
    sa.CheckConstraint('points > 0 AND cash_fen >= 0', name=op.f('ck_reward_redemptions_price_positive')),
    sa.ForeignKeyConstraint(['coupon_id'], ['coupons.id'], name=op.f('fk_reward_redemptions_coupon_id')),
    sa.ForeignKeyConstraint(['entry_id'], ['points_entries.id'], name=op.f('fk_reward_redemptions_entry_id')),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_reward_redemptions_member_id')),
    sa.ForeignKeyConstraint(['reservation_id'], ['points_entries.id'], name=op.f('fk_reward_redemptions_reservation_id')),
    sa.ForeignKeyConstraint(['return_entry_id'], ['points_entries.id'], name=op.f('fk_reward_redemptions_return_entry_id')),
    sa.ForeignKeyConstraint(['reward_id'], ['rewards.id'], name=op.f('fk_reward_redemptions_reward_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_reward_redemptions')),
    sa.UniqueConstraint('paid_namespace', 'payment_ref', name=op.f('uq_reward_redemptions_paid_namespace_payment_ref')),
    sa.UniqueConstraint('redemption_no', name=op.f('uq_reward_redemptions_redemption_no')),
    sa.UniqueConstraint('reward_id', 'member_id', 'slot', name=op.f('uq_reward_redemptions_reward_id_member_id_slot')),
    sa.UniqueConstraint('voucher_code', name=op.f('uq_reward_redemptions_voucher_code')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_reward_redemptions_due', 'reward_redemptions', ['state', 'pay_until'], unique=False)
    op.create_index('ix_reward_redemptions_member', 'reward_redemptions', ['member_id', 'created_at', 'id'], unique=False)
    op.create_index('ix_reward_redemptions_newest', 'reward_redemptions', ['created_at', 'id'], unique=False)
    op.create_index('ix_reward_redemptions_refund', 'reward_redemptions', ['refund_state', 'created_at', 'id'], unique=False)
    op.create_index('ix_reward_redemptions_reward', 'reward_redemptions', ['reward_id', 'created_at', 'id'], unique=False)
    op.create_index('ix_reward_redemptions_work', 'reward_redemptions', ['state', 'kind', 'created_at', 'id'], unique=False)
    op.create_table('reward_versions',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('reward_id', UuidType(), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('document', JsonDocument(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('created_by', sa.String(length=80), nullable=False),
    sa.ForeignKeyConstraint(['reward_id'], ['rewards.id'], name=op.f('fk_reward_versions_reward_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_reward_versions')),
    sa.UniqueConstraint('reward_id', 'version', name=op.f('uq_reward_versions_reward_id_version')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('reward_transitions',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('redemption_id', UuidType(), nullable=False),
    sa.Column('event', sa.String(length=16), nullable=False),
    sa.Column('from_state', sa.String(length=16), nullable=True),
    sa.Column('to_state', sa.String(length=16), nullable=False),
    sa.Column('detail', sa.String(length=300), nullable=True),
    sa.Column('reason', sa.String(length=300), nullable=True),
    sa.Column('actor_kind', sa.String(length=16), nullable=False),
    sa.Column('actor_ref', sa.String(length=80), nullable=False),
    sa.Column('occurred_at', UtcDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['redemption_id'], ['reward_redemptions.id'], name=op.f('fk_reward_transitions_redemption_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_reward_transitions')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_reward_transitions_redemption', 'reward_transitions', ['redemption_id', 'occurred_at'], unique=False)
    guard_append_only(op, 'reward_versions', 'reward_transitions', 'points_payment_policies')


def downgrade() -> None:
    op.drop_index('ix_reward_transitions_redemption', table_name='reward_transitions')
    op.drop_table('reward_transitions')
    op.drop_table('reward_versions')
    op.drop_index('ix_reward_redemptions_work', table_name='reward_redemptions')
    op.drop_index('ix_reward_redemptions_reward', table_name='reward_redemptions')
    op.drop_index('ix_reward_redemptions_refund', table_name='reward_redemptions')
    op.drop_index('ix_reward_redemptions_newest', table_name='reward_redemptions')
    op.drop_index('ix_reward_redemptions_member', table_name='reward_redemptions')
    op.drop_index('ix_reward_redemptions_due', table_name='reward_redemptions')
    op.drop_table('reward_redemptions')
    op.drop_index('ix_rewards_open', table_name='rewards')
    op.drop_index('ix_rewards_newest', table_name='rewards')
    op.drop_table('rewards')
    op.drop_table('points_payment_policies')
