"""transfers."""

import sqlalchemy as sa
from alembic import op

from server.kernel.column_types import JsonDocument, UtcDateTime, UuidType

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('transfer_jobs',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('kind', sa.String(length=40), nullable=False),
    sa.Column('name', sa.String(length=191), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('total', sa.BigInteger(), nullable=True),
    sa.Column('done', sa.BigInteger(), nullable=False),
    sa.Column('errors', sa.BigInteger(), nullable=False),
    sa.Column('error_file', sa.String(length=255), nullable=True),
    sa.Column('failure', sa.String(length=255), nullable=True),
    sa.Column('actor_kind', sa.String(length=16), nullable=False),
    sa.Column('actor_ref', sa.String(length=64), nullable=False),
    sa.Column('started_at', UtcDateTime(), nullable=False),
    sa.Column('updated_at', UtcDateTime(), nullable=False),
    sa.Column('finished_at', UtcDateTime(), nullable=True),
    sa.CheckConstraint("state IN ('running','done','failed')", name=op.f('ck_transfer_jobs_state_known')),
    sa.CheckConstraint('done >= 0 AND errors >= 0', name=op.f('ck_transfer_jobs_counts_positive')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_transfer_jobs')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_transfer_jobs_started', 'transfer_jobs', ['started_at', 'id'], unique=False)


def downgrade() -> None:
    op.drop_index('ix_transfer_jobs_started', table_name='transfer_jobs')
    op.drop_table('transfer_jobs')
