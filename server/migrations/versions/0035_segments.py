"""Segments by version, and the lists of who is in them."""

import sqlalchemy as sa
from alembic import op

from server.kernel.column_types import JsonDocument, UtcDateTime, UuidType
from server.migrations.runner import guard_append_only

revision = '0035'
down_revision = '0034'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('segment_rules',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('code', sa.String(length=40), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('name', sa.String(length=80), nullable=False),
    sa.Column('document', JsonDocument(), nullable=False),
    sa.Column('refresh_hours', sa.BigInteger(), nullable=False),
    sa.Column('enabled', sa.Boolean(), nullable=False),
    sa.Column('reason', sa.String(length=300), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('created_by', sa.String(length=80), nullable=False),
    sa.CheckConstraint('version >= 1 AND refresh_hours BETWEEN 1 AND 720', name=op.f('ck_segment_rules_version_positive')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_segment_rules')),
    sa.UniqueConstraint('code', 'version', name=op.f('uq_segment_rules_code_version')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    guard_append_only(op, 'segment_rules')
    op.create_table('segment_rosters',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('code', sa.String(length=40), nullable=False),
    sa.Column('made', sa.BigInteger(), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=True),
    sa.Column('rule_version', sa.BigInteger(), nullable=True),
    sa.Column('size', sa.BigInteger(), nullable=False),
    sa.Column('as_of', UtcDateTime(), nullable=True),
    sa.Column('built_at', UtcDateTime(), nullable=True),
    sa.Column('worked_ms', sa.BigInteger(), nullable=False),
    sa.Column('filling', sa.BigInteger(), nullable=True),
    sa.Column('filling_rule', sa.BigInteger(), nullable=True),
    sa.Column('filling_as_of', UtcDateTime(), nullable=True),
    sa.Column('filled_until', UuidType(), nullable=True),
    sa.Column('filled', sa.BigInteger(), nullable=False),
    sa.Column('filling_ms', sa.BigInteger(), nullable=False),
    sa.Column('asked_at', UtcDateTime(), nullable=True),
    sa.CheckConstraint('(filling IS NULL) = (filling_as_of IS NULL)', name=op.f('ck_segment_rosters_filling_whole')),
    sa.CheckConstraint('(version IS NULL) = (built_at IS NULL) AND (version IS NULL) = (as_of IS NULL)', name=op.f('ck_segment_rosters_built_whole')),
    sa.CheckConstraint('size >= 0 AND filled >= 0 AND made >= 0', name=op.f('ck_segment_rosters_counts_positive')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_segment_rosters')),
    sa.UniqueConstraint('code', name=op.f('uq_segment_rosters_code')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('segment_members',
    sa.Column('segment_id', UuidType(), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_segment_members_member_id')),
    sa.ForeignKeyConstraint(['segment_id'], ['segment_rosters.id'], name=op.f('fk_segment_members_segment_id')),
    sa.PrimaryKeyConstraint('segment_id', 'version', 'member_id', name=op.f('pk_segment_members')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_segment_members_member', 'segment_members', ['member_id'], unique=False)


def downgrade() -> None:
    op.drop_table('segment_members')
    op.drop_table('segment_rosters')
    op.drop_table('segment_rules')
