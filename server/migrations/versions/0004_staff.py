"""staff."""

import sqlalchemy as sa
from alembic import op

from server.kernel.column_types import JsonDocument, UtcDateTime, UuidType

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('staff_accounts',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('email', sa.String(length=191), nullable=False),
    sa.Column('name', sa.String(length=60), nullable=False),
    sa.Column('password_hash', sa.String(length=191), nullable=False),
    sa.Column('active', sa.Boolean(), nullable=False),
    sa.Column('uniquifier', sa.String(length=64), nullable=False),
    sa.Column('totp_secret', sa.String(length=255), nullable=True),
    sa.Column('totp_confirmed_at', UtcDateTime(), nullable=True),
    sa.Column('totp_last_step', sa.BigInteger(), nullable=False),
    sa.Column('failures', sa.BigInteger(), nullable=False),
    sa.Column('locked_until', UtcDateTime(), nullable=True),
    sa.Column('last_login_at', UtcDateTime(), nullable=True),
    sa.Column('last_login_address', sa.String(length=64), nullable=True),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.CheckConstraint('failures >= 0', name=op.f('ck_staff_accounts_failures_not_negative')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_staff_accounts')),
    sa.UniqueConstraint('email', name=op.f('uq_staff_accounts_email')),
    sa.UniqueConstraint('uniquifier', name=op.f('uq_staff_accounts_uniquifier')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_staff_accounts_created', 'staff_accounts', ['created_at', 'id'], unique=False)
    op.create_table('staff_recovery_codes',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('staff_id', UuidType(), nullable=False),
    sa.Column('code_hash', sa.String(length=64), nullable=False),
    sa.Column('spent_at', UtcDateTime(), nullable=True),
    sa.ForeignKeyConstraint(['staff_id'], ['staff_accounts.id'], name=op.f('fk_staff_recovery_codes_staff_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_staff_recovery_codes')),
    sa.UniqueConstraint('staff_id', 'code_hash', name=op.f('uq_staff_recovery_codes_staff_id_code_hash')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('staff_roles',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('staff_id', UuidType(), nullable=False),
    sa.Column('role', sa.String(length=32), nullable=False),
    sa.ForeignKeyConstraint(['staff_id'], ['staff_accounts.id'], name=op.f('fk_staff_roles_staff_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_staff_roles')),
    sa.UniqueConstraint('staff_id', 'role', name=op.f('uq_staff_roles_staff_id_role')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )


def downgrade() -> None:
    op.drop_table('staff_roles')
    op.drop_table('staff_recovery_codes')
    op.drop_index('ix_staff_accounts_created', table_name='staff_accounts')
    op.drop_table('staff_accounts')
