"""A birthday gift is one of a calendar's year: a solar January and the lunar December after it bear the same number."""

from alembic import op

revision = '0030'
down_revision = '0029'
branch_labels = None
depends_on = None

OLD, NEW = 'uq_birthday_gifts_member_id_year', 'uq_birthday_gifts_member_id_calendar_year'


def upgrade() -> None:
    # The new one first: MariaDB needs an index under the foreign key at every moment.
    with op.batch_alter_table('birthday_gifts') as batch:
        batch.create_unique_constraint(op.f(NEW), ['member_id', 'calendar', 'year'])
    with op.batch_alter_table('birthday_gifts') as batch:
        batch.drop_constraint(op.f(OLD), type_='unique')


def downgrade() -> None:
    with op.batch_alter_table('birthday_gifts') as batch:
        batch.create_unique_constraint(op.f(OLD), ['member_id', 'year'])
    with op.batch_alter_table('birthday_gifts') as batch:
        batch.drop_constraint(op.f(NEW), type_='unique')
