"""Alembic's entry: runs on the connection that ``schema.migrate`` hands over, without an ini file."""

from alembic import context

from tallystick.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite can roll back DDL too; the connection has opened the transaction already.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
