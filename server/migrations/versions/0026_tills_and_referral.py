"""Sales told late, receipts that are claimed, and members who invite members."""

import sqlalchemy as sa
from alembic import op

from server.kernel.column_types import UtcDateTime, UuidType
from server.migrations.runner import guard_append_only

revision = '0026'
down_revision = '0025'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('orders', sa.Column('captured_at', UtcDateTime(), nullable=True))
    op.add_column('orders', sa.Column('attached_at', UtcDateTime(), nullable=True))
    op.create_table('order_policies',
    sa.Column('version', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('offline_days', sa.BigInteger(), nullable=False),
    sa.Column('claim_days', sa.BigInteger(), nullable=False),
    sa.Column('claim_tries', sa.BigInteger(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('created_by', sa.String(length=80), nullable=False),
    sa.CheckConstraint('offline_days >= 1 AND claim_days >= 1 AND claim_tries >= 1', name=op.f('ck_order_policies_bounds_positive')),
    sa.PrimaryKeyConstraint('version', name=op.f('pk_order_policies')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('receipt_claims',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('outcome', sa.String(length=20), nullable=False),
    sa.Column('order_id', UuidType(), nullable=True),
    sa.Column('granted_slot', UuidType(), nullable=True),
    sa.Column('channel', sa.String(length=32), nullable=True),
    sa.Column('store_code', sa.String(length=64), nullable=True),
    sa.Column('external_no', sa.String(length=80), nullable=False),
    sa.Column('amount_fen', sa.BigInteger(), nullable=False),
    sa.Column('placed_on', sa.Date(), nullable=False),
    sa.Column('points', sa.BigInteger(), nullable=False),
    sa.Column('reason', sa.String(length=500), nullable=True),
    sa.Column('business_day', sa.Date(), nullable=False),
    sa.Column('claimed_at', UtcDateTime(), nullable=False),
    sa.Column('actor_kind', sa.String(length=16), nullable=False),
    sa.Column('actor_ref', sa.String(length=80), nullable=False),
    sa.CheckConstraint("(outcome = 'granted') = (granted_slot IS NOT NULL)", name=op.f('ck_receipt_claims_granted_has_slot')),
    sa.CheckConstraint("outcome IN ('granted','not_found','ambiguous','already_credited','refunded','too_old')", name=op.f('ck_receipt_claims_outcome_known')),
    sa.CheckConstraint('granted_slot IS NULL OR granted_slot = order_id', name=op.f('ck_receipt_claims_slot_is_order')),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_receipt_claims_member_id')),
    sa.ForeignKeyConstraint(['order_id'], ['orders.id'], name=op.f('fk_receipt_claims_order_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_receipt_claims')),
    sa.UniqueConstraint('granted_slot', name=op.f('uq_receipt_claims_granted_slot')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_receipt_claims_newest', 'receipt_claims', ['claimed_at', 'id'], unique=False)
    op.create_index('ix_receipt_claims_order_id', 'receipt_claims', ['order_id'], unique=False)
    op.create_index('ix_receipt_claims_tries', 'receipt_claims', ['member_id', 'business_day', 'outcome'], unique=False)
    op.create_table('referral_policies',
    sa.Column('version', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('enabled', sa.Boolean(), nullable=False),
    sa.Column('inviter_points', sa.BigInteger(), nullable=False),
    sa.Column('friend_points', sa.BigInteger(), nullable=False),
    sa.Column('window_days', sa.BigInteger(), nullable=False),
    sa.Column('min_order_fen', sa.BigInteger(), nullable=False),
    sa.Column('daily_cap', sa.BigInteger(), nullable=False),
    sa.Column('max_rewarded', sa.BigInteger(), nullable=True),
    sa.Column('points_days', sa.BigInteger(), nullable=True),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('created_by', sa.String(length=80), nullable=False),
    sa.CheckConstraint('inviter_points >= 0 AND friend_points >= 0', name=op.f('ck_referral_policies_points_not_negative')),
    sa.CheckConstraint('window_days >= 1 AND daily_cap >= 1 AND min_order_fen >= 1', name=op.f('ck_referral_policies_bounds_positive')),
    sa.PrimaryKeyConstraint('version', name=op.f('pk_referral_policies')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('referral_codes',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('active_slot', UuidType(), nullable=True),
    sa.Column('code', sa.String(length=16), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_referral_codes_member_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_referral_codes')),
    sa.UniqueConstraint('active_slot', name=op.f('uq_referral_codes_active_slot')),
    sa.UniqueConstraint('code', name=op.f('uq_referral_codes_code')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_referral_codes_member_id', 'referral_codes', ['member_id'], unique=False)
    op.create_table('referral_marks',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('kind', sa.String(length=8), nullable=False),
    sa.Column('mark', sa.String(length=80), nullable=False),
    sa.Column('seen_at', UtcDateTime(), nullable=False),
    sa.CheckConstraint("kind IN ('device','phone')", name=op.f('ck_referral_marks_kind_known')),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_referral_marks_member_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_referral_marks')),
    sa.UniqueConstraint('member_id', 'kind', 'mark', name=op.f('uq_referral_marks_member_id_kind_mark')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('referrals',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('inviter_id', UuidType(), nullable=False),
    sa.Column('friend_id', UuidType(), nullable=False),
    sa.Column('friend_slot', UuidType(), nullable=True),
    sa.Column('code', sa.String(length=16), nullable=False),
    sa.Column('state', sa.String(length=12), nullable=False),
    sa.Column('reason', sa.String(length=20), nullable=True),
    sa.Column('joined_at', UtcDateTime(), nullable=False),
    sa.Column('joined_on', sa.Date(), nullable=False),
    sa.Column('look_at', UtcDateTime(), nullable=True),
    sa.Column('order_id', UuidType(), nullable=True),
    sa.Column('policy_version', sa.BigInteger(), nullable=False),
    sa.Column('inviter_points', sa.BigInteger(), nullable=False),
    sa.Column('friend_points', sa.BigInteger(), nullable=False),
    sa.Column('inviter_entry_id', UuidType(), nullable=True),
    sa.Column('friend_entry_id', UuidType(), nullable=True),
    sa.Column('rewarded_at', UtcDateTime(), nullable=True),
    sa.Column('decided_at', UtcDateTime(), nullable=True),
    sa.Column('decided_by', sa.String(length=120), nullable=True),
    sa.Column('decided_why', sa.String(length=500), nullable=True),
    sa.CheckConstraint("state IN ('waiting','held','rewarded','refused','expired')", name=op.f('ck_referrals_state_known')),
    sa.CheckConstraint("(state = 'rewarded') = (rewarded_at IS NOT NULL)", name=op.f('ck_referrals_rewarded_has_instant')),
    sa.CheckConstraint("(state = 'rewarded') = (order_id IS NOT NULL)", name=op.f('ck_referrals_rewarded_has_order')),
    sa.CheckConstraint("(state = 'waiting') = (look_at IS NOT NULL)", name=op.f('ck_referrals_waiting_is_looked_at')),
    sa.CheckConstraint("state <> 'refused' OR reason IS NOT NULL", name=op.f('ck_referrals_refused_has_reason')),
    sa.CheckConstraint("state <> 'waiting' OR friend_slot IS NOT NULL", name=op.f('ck_referrals_waiting_has_slot')),
    sa.ForeignKeyConstraint(['friend_id'], ['members.id'], name=op.f('fk_referrals_friend_id')),
    sa.ForeignKeyConstraint(['inviter_id'], ['members.id'], name=op.f('fk_referrals_inviter_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_referrals')),
    sa.UniqueConstraint('friend_slot', name=op.f('uq_referrals_friend_slot')),
    sa.UniqueConstraint('order_id', name=op.f('uq_referrals_order_id')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_referrals_day', 'referrals', ['inviter_id', 'joined_on'], unique=False)
    op.create_index('ix_referrals_friend_id', 'referrals', ['friend_id'], unique=False)
    op.create_index('ix_referrals_inviter', 'referrals', ['inviter_id', 'state'], unique=False)
    op.create_index('ix_referrals_look', 'referrals', ['state', 'look_at'], unique=False)
    op.create_index('ix_referrals_newest', 'referrals', ['joined_at', 'id'], unique=False)
    guard_append_only(op, 'order_policies', 'referral_policies')


def downgrade() -> None:
    op.drop_table('referrals')
    op.drop_table('referral_marks')
    op.drop_table('referral_codes')
    op.drop_table('referral_policies')
    op.drop_index('ix_receipt_claims_tries', table_name='receipt_claims')
    op.drop_index('ix_receipt_claims_order_id', table_name='receipt_claims')
    op.drop_index('ix_receipt_claims_newest', table_name='receipt_claims')
    op.drop_table('receipt_claims')
    op.drop_table('order_policies')
    with op.batch_alter_table('orders') as batch:
        batch.drop_column('attached_at')
        batch.drop_column('captured_at')
