"""operations."""

import sqlalchemy as sa
from alembic import op

from server.kernel.column_types import JsonDocument, UtcDateTime, UuidType

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('demo_loads',
    sa.Column('name', sa.String(length=32), nullable=False),
    sa.Column('credentials', JsonDocument(), nullable=False),
    sa.Column('loaded_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_demo_loads')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('incidents',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('kind', sa.String(length=64), nullable=False),
    sa.Column('subject', sa.String(length=120), nullable=False),
    sa.Column('slot', sa.String(length=191), nullable=True),
    sa.Column('details', JsonDocument(), nullable=False),
    sa.Column('occurrences', sa.BigInteger(), nullable=False),
    sa.Column('opened_at', UtcDateTime(), nullable=False),
    sa.Column('last_seen_at', UtcDateTime(), nullable=False),
    sa.Column('closed_at', UtcDateTime(), nullable=True),
    sa.Column('closed_by', sa.String(length=120), nullable=True),
    sa.Column('note', sa.String(length=500), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_incidents')),
    sa.UniqueConstraint('slot', name=op.f('uq_incidents_slot')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_incidents_listing', 'incidents', ['closed_at', 'opened_at'], unique=False)
    op.create_table('scheduled_runs',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('job', sa.String(length=64), nullable=False),
    sa.Column('period', UtcDateTime(), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('handled', sa.BigInteger(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('finished_at', UtcDateTime(), nullable=True),
    sa.CheckConstraint("state IN ('due','done','superseded')", name=op.f('ck_scheduled_runs_state_known')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_scheduled_runs')),
    sa.UniqueConstraint('job', 'period', name=op.f('uq_scheduled_runs_job_period')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_scheduled_runs_period', 'scheduled_runs', ['period'], unique=False)


def downgrade() -> None:
    op.drop_index('ix_scheduled_runs_period', table_name='scheduled_runs')
    op.drop_table('scheduled_runs')
    op.drop_index('ix_incidents_listing', table_name='incidents')
    op.drop_table('incidents')
    op.drop_table('demo_loads')
