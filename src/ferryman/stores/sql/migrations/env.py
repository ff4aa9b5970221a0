"""What Alembic runs to migrate: on the connection, and in the transaction, of `upgrade`."""

from alembic import context

from ferryman.stores.sql.tables import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,  # on SQLite too, since its driver begins no transactions by itself
)
with context.begin_transaction():
    context.run_migrations()
