"""Sessions of staff: where somebody is signed in."""

import sqlalchemy as sa
from alembic import op

from server.kernel.column_types import UtcDateTime, UuidType

revision = '0022'
down_revision = '0021'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('staff_sessions',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('staff_id', UuidType(), nullable=False),
    sa.Column('device', sa.String(length=255), nullable=False),
    sa.Column('address', sa.String(length=64), nullable=False),
    sa.Column('began_at', UtcDateTime(), nullable=False),
    sa.Column('seen_at', UtcDateTime(), nullable=False),
    sa.Column('ended_at', UtcDateTime(), nullable=True),
    sa.CheckConstraint('seen_at >= began_at', name=op.f('ck_staff_sessions_seen_after_began')),
    sa.ForeignKeyConstraint(['staff_id'], ['staff_accounts.id'], name=op.f('fk_staff_sessions_staff_id_staff_accounts')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_staff_sessions')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_staff_sessions_seen', 'staff_sessions', ['staff_id', 'seen_at'], unique=False)


def downgrade() -> None:
    op.drop_index('ix_staff_sessions_seen', table_name='staff_sessions')
    op.drop_table('staff_sessions')
