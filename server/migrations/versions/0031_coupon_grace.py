"""When a coupon's end was moved by a late return: that happens once."""

import sqlalchemy as sa
from alembic import op

from server.kernel.column_types import UtcDateTime

revision = '0031'
down_revision = '0030'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('coupons', sa.Column('grace_given_at', UtcDateTime(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table('coupons') as batch:
        batch.drop_column('grace_given_at')
