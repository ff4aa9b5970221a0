"""The SQL store: SQLite and PostgreSQL. The only package that imports SQLAlchemy and Alembic."""
