"""Tables as facts: what inspection finds in a database, in a form that compares and reads well, and tables made of it.

``schema.py URL NAME`` adds the tables of a database to ``data/schema_<dialect>.json`` under a name.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from flask import Flask
from invenio_db import db
from sqlalchemy import Connection, create_engine, inspect, text

DATA = Path(__file__).parents[1] / "data"

Facts = dict[str, dict[str, Any]]


def facts(connection: Connection) -> Facts:
    """Return what there is to know of each of this module's tables."""
    inspector = inspect(connection)
    names = sorted(name for name in inspector.get_table_names() if name.startswith("files_"))
    return {name: table_facts(connection, inspector, name) for name in names}


def table_facts(connection: Connection, inspector: Any, table: str) -> dict[str, Any]:
    """Return what there is to know of a table."""
    return {
        "columns": dict(sorted(_columns(connection, inspector, table))),
        "primary_key": inspector.get_pk_constraint(table)["constrained_columns"],
        "foreign_keys": {
            key["name"]: [
                *key["constrained_columns"],
                f"{key['referred_table']}({', '.join(key['referred_columns'])})",
                # MySQL does not tell it from its default, which is the same.
                key["options"].get("ondelete", "RESTRICT"),
            ]
            for key in inspector.get_foreign_keys(table)
        },
        "unique": {key["name"]: key["column_names"] for key in inspector.get_unique_constraints(table)},
        "indexes": {
            index["name"]: [
                *index["column_names"],
                *(["UNIQUE"] if index["unique"] else []),
                *(f"WHERE {where}" for where in [index.get("dialect_options", {}).get("postgresql_where")] if where),
            ]
            for index in inspector.get_indexes(table)
            if not index.get("duplicates_constraint") and index.get("type") != "UNIQUE"
        },
    }


def _columns(connection: Connection, inspector: Any, table: str) -> Any:
    declared = {}
    if connection.dialect.name == "sqlite":
        # Inspection knows no more than the affinity of a type.
        declared = {row.name: row.type for row in connection.execute(text(f"PRAGMA table_info({table})"))}
    for column in inspector.get_columns(table):
        words = [declared.get(column["name"]) or column["type"].compile(connection.dialect)]
        if not column["nullable"]:
            words.append("NOT NULL")
        if column["default"] is not None:
            words.append(f"DEFAULT {column['default']}")
        if column.get("autoincrement") is True and connection.dialect.name != "postgresql":
            words.append("AUTO_INCREMENT")
        yield column["name"], " ".join(words)


def stored_facts(database: str) -> dict[str, Facts]:
    """Return the facts of tables as 6.1 left them: ``created`` at once or, where that is possible, ``migrated``."""
    return json.loads((DATA / f"schema_{database}.json").read_text())


def release(app: Flask) -> None:
    """Give up the connections that Alembic keeps, and those of the pool.

    Flask-Alembic has no public way for its own.
    """
    app.extensions["invenio-db"].alembic._get_cache().clear()
    db.engine.dispose()


def create_tables(connection: Connection, tables: Facts) -> None:
    """Create the tables that facts tell of."""
    quote = connection.dialect.identifier_preparer.quote_identifier

    def names(columns: list[str]) -> str:
        return ", ".join(map(quote, columns))

    waiting = dict(tables)
    while waiting:
        for table, what in list(waiting.items()):
            referred = {target.partition("(")[0] for *_, target, _ in what["foreign_keys"].values()}
            if referred & waiting.keys() - {table}:
                continue
            del waiting[table]
            items = [f"{quote(name)} {_type(connection, column)}" for name, column in what["columns"].items()]
            items.append(f"CONSTRAINT pk_{table} PRIMARY KEY ({names(what['primary_key'])})")
            items += [f"CONSTRAINT {name} UNIQUE ({names(columns)})" for name, columns in what["unique"].items()]
            items += [
                f"CONSTRAINT {name} FOREIGN KEY ({names(columns)}) REFERENCES {target} ON DELETE {action}"
                for name, (*columns, target, action) in what["foreign_keys"].items()
            ]
            # A line for each: SQLAlchemy 2.0.36 takes what stands before a constraint in its line for its name.
            lines = ",\n".join(items)
            connection.exec_driver_sql(f"CREATE TABLE {table} (\n{lines}\n)")
            for name, words in what["indexes"].items():
                if name in what["foreign_keys"]:
                    # MySQL makes this one by itself.
                    continue
                columns = [word for word in words if word in what["columns"]]
                where = "".join(f" {word}" for word in words if word.startswith("WHERE"))
                unique = "UNIQUE " if "UNIQUE" in words else ""
                connection.exec_driver_sql(f"CREATE {unique}INDEX {name} ON {table} ({names(columns)}){where}")


def _type(connection: Connection, column: str) -> str:
    if connection.dialect.name == "postgresql" and " DEFAULT nextval" in column:
        return "SERIAL"
    return column


def main(url: str, name: str) -> None:
    """Run as a program."""
    engine = create_engine(url)
    dialect = "mariadb" if engine.dialect.name == "mysql" else engine.dialect.name
    path = DATA / f"schema_{dialect}.json"
    stored = json.loads(path.read_text()) if path.exists() else {}
    with engine.connect() as connection:
        stored[name] = facts(connection)
    path.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
