"""files."""

import sqlalchemy as sa
from alembic import op

from server.kernel.column_types import JsonDocument, UtcDateTime, UuidType

revision = '0010'
down_revision = '0009'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('uploads',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('owner_member_id', UuidType(), nullable=True),
    sa.Column('purpose', sa.String(length=16), nullable=False),
    sa.Column('storage_name', sa.String(length=120), nullable=False),
    sa.Column('content_type', sa.String(length=32), nullable=False),
    sa.Column('bytes', sa.BigInteger(), nullable=False),
    sa.Column('sha256', sa.String(length=64), nullable=False),
    sa.Column('width', sa.Integer(), nullable=False),
    sa.Column('height', sa.Integer(), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('slot', sa.Integer(), nullable=True),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('attached_at', UtcDateTime(), nullable=True),
    sa.CheckConstraint("purpose IN ('ticket','avatar','reply')", name=op.f('ck_uploads_purpose_known')),
    sa.CheckConstraint('bytes > 0 AND width > 0 AND height > 0', name=op.f('ck_uploads_not_empty')),
    sa.CheckConstraint('slot IS NULL OR slot > 0', name=op.f('ck_uploads_slot_positive')),
    sa.ForeignKeyConstraint(['owner_member_id'], ['members.id'], name=op.f('fk_uploads_owner_member_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_uploads')),
    sa.UniqueConstraint('owner_member_id', 'day', 'slot', name=op.f('uq_uploads_owner_member_id_day_slot')),
    sa.UniqueConstraint('storage_name', name=op.f('uq_uploads_storage_name')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_uploads_attached_at_created_at', 'uploads', ['attached_at', 'created_at'], unique=False)


def downgrade() -> None:
    op.drop_index('ix_uploads_attached_at_created_at', table_name='uploads')
    op.drop_table('uploads')
