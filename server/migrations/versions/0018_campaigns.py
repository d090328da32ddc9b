"""campaigns."""

import sqlalchemy as sa
from alembic import op

from server.kernel.column_types import JsonDocument, UtcDateTime, UuidType
from server.migrations.runner import guard_append_only

revision = '0018'
down_revision = '0017'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('birthday_days',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('done_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_birthday_days')),
    sa.UniqueConstraint('day', name=op.f('uq_birthday_days_day')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('birthday_policies',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('document', JsonDocument(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('created_by', sa.String(length=80), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_birthday_policies')),
    sa.UniqueConstraint('version', name=op.f('uq_birthday_policies_version')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('birthday_gifts',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('year', sa.BigInteger(), nullable=False),
    sa.Column('calendar', sa.String(length=8), nullable=False),
    sa.Column('celebrated_on', sa.Date(), nullable=False),
    sa.Column('points', sa.BigInteger(), nullable=False),
    sa.Column('entry_id', UuidType(), nullable=True),
    sa.Column('coupon_id', UuidType(), nullable=True),
    sa.Column('coupon_problem', sa.String(length=40), nullable=True),
    sa.Column('given_at', UtcDateTime(), nullable=False),
    sa.CheckConstraint("calendar IN ('solar','lunar')", name=op.f('ck_birthday_gifts_calendar_known')),
    sa.CheckConstraint('points >= 0', name=op.f('ck_birthday_gifts_points_not_negative')),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_birthday_gifts_member_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_birthday_gifts')),
    sa.UniqueConstraint('member_id', 'year', name=op.f('uq_birthday_gifts_member_id_year')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_birthday_gifts_given', 'birthday_gifts', ['given_at', 'id'], unique=False)
    guard_append_only(op, 'birthday_policies')


def downgrade() -> None:
    op.drop_index('ix_birthday_gifts_given', table_name='birthday_gifts')
    op.drop_table('birthday_gifts')
    op.drop_table('birthday_policies')
    op.drop_table('birthday_days')
