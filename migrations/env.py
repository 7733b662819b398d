"""What alembic runs: the migrations, all in the transaction that `shared.db.migrate` has begun."""

from alembic import context

from shared.db.migrate import include_name
from shared.db.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    include_name=include_name,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
