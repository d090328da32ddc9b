"""audit."""

import sqlalchemy as sa
from alembic import op

from server.kernel.column_types import JsonDocument, UtcDateTime, UuidType
from server.migrations.runner import guard_append_only

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('audit_entries',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('occurred_at', UtcDateTime(), nullable=False),
    sa.Column('actor_kind', sa.String(length=16), nullable=False),
    sa.Column('actor_ref', sa.String(length=64), nullable=False),
    sa.Column('actor_name', sa.String(length=120), nullable=False),
    sa.Column('address', sa.String(length=64), nullable=True),
    sa.Column('action', sa.String(length=64), nullable=False),
    sa.Column('subject_type', sa.String(length=32), nullable=False),
    sa.Column('subject_id', sa.String(length=64), nullable=False),
    sa.Column('before', JsonDocument(), nullable=True),
    sa.Column('after', JsonDocument(), nullable=True),
    sa.Column('reason', sa.String(length=500), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_audit_entries')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_audit_entries_action', 'audit_entries', ['action', 'occurred_at'], unique=False)
    op.create_index('ix_audit_entries_actor', 'audit_entries', ['actor_ref', 'occurred_at'], unique=False)
    op.create_index('ix_audit_entries_subject', 'audit_entries', ['subject_type', 'subject_id', 'occurred_at'], unique=False)
    op.create_index('ix_audit_entries_time', 'audit_entries', ['occurred_at', 'id'], unique=False)
    op.create_table('audit_heads',
    sa.Column('name', sa.String(length=16), nullable=False),
    sa.Column('sequence', sa.BigInteger(), nullable=False),
    sa.Column('hash', sa.String(length=64), nullable=False),
    sa.Column('updated_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_audit_heads')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('audit_pending',
    sa.Column('entry_id', UuidType(), nullable=False),
    sa.PrimaryKeyConstraint('entry_id', name=op.f('pk_audit_pending')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('audit_seals',
    sa.Column('sequence', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('entry_id', UuidType(), nullable=False),
    sa.Column('previous_hash', sa.String(length=64), nullable=False),
    sa.Column('hash', sa.String(length=64), nullable=False),
    sa.Column('sealed_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('sequence', name=op.f('pk_audit_seals')),
    sa.UniqueConstraint('entry_id', name=op.f('uq_audit_seals_entry_id')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    guard_append_only(op, 'audit_entries', 'audit_seals')


def downgrade() -> None:
    op.drop_table('audit_seals')
    op.drop_table('audit_pending')
    op.drop_table('audit_heads')
    op.drop_index('ix_audit_entries_time', table_name='audit_entries')
    op.drop_index('ix_audit_entries_subject', table_name='audit_entries')
    op.drop_index('ix_audit_entries_actor', table_name='audit_entries')
    op.drop_index('ix_audit_entries_action', table_name='audit_entries')
    op.drop_table('audit_entries')
