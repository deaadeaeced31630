"""Alembic's entry: runs the steps on the connection that `leaderboard.store` hands over."""

from alembic import context
from unified_audiocaps.leaderboard.storage.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
