"""Alembic steps of the hub's database."""
