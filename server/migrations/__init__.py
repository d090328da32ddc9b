"""Numbered migrations, one head, the same on SQLite, PostgreSQL and MariaDB."""
