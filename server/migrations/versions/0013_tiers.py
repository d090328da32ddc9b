"""tiers."""

import sqlalchemy as sa
from alembic import op

from server.kernel.column_types import JsonDocument, UtcDateTime, UuidType
from server.migrations.runner import guard_append_only

revision = '0013'
down_revision = '0012'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('tiers',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('code', sa.String(length=40), nullable=False),
    sa.Column('name', sa.String(length=40), nullable=False),
    sa.Column('tier_rank', sa.BigInteger(), nullable=False),
    sa.Column('points_multiplier_percent', sa.BigInteger(), nullable=False),
    sa.Column('face', JsonDocument(), nullable=False),
    sa.Column('benefits', JsonDocument(), nullable=False),
    sa.CheckConstraint('points_multiplier_percent BETWEEN 100 AND 1000', name=op.f('ck_tiers_multiplier_bounded')),
    sa.CheckConstraint('tier_rank >= 0', name=op.f('ck_tiers_rank_not_negative')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_tiers')),
    sa.UniqueConstraint('code', name=op.f('uq_tiers_code')),
    sa.UniqueConstraint('tier_rank', name=op.f('uq_tiers_tier_rank')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('member_tiers',
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('tier_id', UuidType(), nullable=False),
    sa.Column('since', UtcDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_member_tiers_member_id')),
    sa.ForeignKeyConstraint(['tier_id'], ['tiers.id'], name=op.f('fk_member_tiers_tier_id')),
    sa.PrimaryKeyConstraint('member_id', name=op.f('pk_member_tiers')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index(op.f('ix_member_tiers_tier_id'), 'member_tiers', ['tier_id'], unique=False)
    op.create_table('tier_changes',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('from_tier_id', UuidType(), nullable=True),
    sa.Column('to_tier_id', UuidType(), nullable=False),
    sa.Column('reason', sa.String(length=255), nullable=False),
    sa.Column('actor_kind', sa.String(length=16), nullable=False),
    sa.Column('actor_ref', sa.String(length=80), nullable=False),
    sa.Column('occurred_at', UtcDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['from_tier_id'], ['tiers.id'], name=op.f('fk_tier_changes_from_tier_id')),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_tier_changes_member_id')),
    sa.ForeignKeyConstraint(['to_tier_id'], ['tiers.id'], name=op.f('fk_tier_changes_to_tier_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_tier_changes')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_tier_changes_member', 'tier_changes', ['member_id', 'occurred_at', 'id'], unique=False)
    guard_append_only(op, 'tier_changes')


def downgrade() -> None:
    op.drop_index('ix_tier_changes_member', table_name='tier_changes')
    op.drop_table('tier_changes')
    op.drop_index(op.f('ix_member_tiers_tier_id'), table_name='member_tiers')
    op.drop_table('member_tiers')
    op.drop_table('tiers')
