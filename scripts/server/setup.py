"""Set an instance up: its database, its location, a record, and the administrator with a token.

The steps that have been done stand in ``setup.done``, so that a set-up that was interrupted goes on where it was. All
of them run in one process, since making the application takes longer than any of them.

Usage: ``setup.py INSTANCE ADMIN``, with the settings in the instance.
"""

from __future__ import annotations

import hashlib
import io
import secrets
import sys
import traceback
import uuid
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from object_store import described, own_folder, wait_until_it_serves

REVISIONS = Path(__file__).parents[2] / "invenio_files_rest" / "alembic"


class Setup:
    """The set-up of an instance.

    :param instance: Its folder.
    :param admin: E-mail address of the administrator.
    """

    def __init__(self, instance: Path, admin: str) -> None:
        """Read what has been done."""
        self.instance = instance
        self.admin = admin
        self.steps = instance / "setup.done"
        self.done = set(self.steps.read_text().splitlines()) if self.steps.exists() else set()
        self._info: Any = None

    def run(self) -> None:
        """Do the steps that have not been done.

        :raises SystemExit: If one fails.
        """
        if own_folder(self.instance).is_dir():
            wait_until_it_serves(self.instance)
        revisions = b"".join(sorted(path.read_bytes() for path in REVISIONS.glob("*.py")))
        self._once("database", self.invenio, "db", "init", "create")
        # Again for every revision that comes later.
        tables = f"tables, {hashlib.md5(revisions, usedforsecurity=False).hexdigest()}"
        self._once(tables, self.invenio, "alembic", "upgrade", "invenio_files_rest@head")
        self._once("database for several at a time", self.share_sqlite)
        stores = list(described(self.instance))
        name, uri = ("s3", stores[0]) if stores else ("local", str(self.instance / "data"))
        self._once("default location for files", self.invenio, "files", "location", "create", "--default", name, uri)
        self._once("record", self.create_record)
        self._once("administrator", self.create_account)
        self._once(
            "administrator may do everything", self.invenio, "access", "allow", "superuser-access", "user", self.admin
        )
        self._once("token", self.create_token)

    def _once(self, step: str, work: Callable[..., Any], *args: str) -> None:
        if step in self.done:
            return
        # What follows a comma tells one set of tables from another, and says nothing to who waits.
        print(f"Setting up: {step.partition(',')[0]}", file=sys.stderr, flush=True)
        output = io.StringIO()
        try:
            with redirect_stdout(output), redirect_stderr(output):
                work(*args)
        except (Exception, SystemExit):
            output.write(traceback.format_exc())
            (self.instance / "setup.log").write_text(output.getvalue())
            raise SystemExit(f"this step failed: {step}\n" + "\n".join(output.getvalue().splitlines()[-20:])) from None
        with self.steps.open("a") as steps:
            steps.write(f"{step}\n")

    def invenio(self, *args: str) -> None:
        """Run a command of ``invenio``."""
        from invenio_app.cli import cli

        cli.main(list(args), prog_name="invenio", obj=self.info, standalone_mode=False)

    @property
    def info(self) -> Any:
        """What commands find the application by, which is made once."""
        if self._info is None:
            from flask.cli import ScriptInfo
            from invenio_app.factory import create_api

            app = create_api()
            self._info = ScriptInfo(create_app=lambda: app)
        return self._info

    def share_sqlite(self) -> None:
        """Let others read while one writes, which is a property of the file, so that once is enough."""
        from invenio_db import db
        from sqlalchemy import text

        with self.info.load_app().app_context(), db.engine.connect() as connection:
            if db.engine.dialect.name == "sqlite":
                connection.execute(text("PRAGMA journal_mode=WAL"))

    def create_record(self) -> None:
        """Make a record with files."""
        from invenio_db import db
        from invenio_pidstore.minters import recid_minter
        from invenio_records_files.api import Record

        with self.info.load_app().app_context():
            # An instance that is older than records has no tables for them.
            db.create_all()
            data, id_ = {"title": "A record with files"}, uuid.uuid4()
            recid_minter(id_, data)
            Record.create(data, id_=id_)
            db.session.commit()

    def create_account(self) -> None:
        """Make the administrator's account, with a password that a file keeps."""
        from flask_security.utils import hash_password
        from invenio_accounts.proxies import current_datastore

        password = secrets.token_urlsafe(18)
        (self.instance / "admin-password").write_text(f"{password}\n")
        with self.info.load_app().app_context():
            # A set-up that was interrupted may have made the account.
            user = current_datastore.get_user_by_email(self.admin) or current_datastore.create_user(email=self.admin)
            user.password, user.active = hash_password(password), True
            user.confirmed_at = datetime.now(timezone.utc).replace(tzinfo=None)
            current_datastore.commit()

    def create_token(self) -> None:
        """Make a token of the administrator, and keep it in a file."""
        from invenio_accounts.proxies import current_datastore
        from invenio_db import db
        from invenio_oauth2server.models import Token

        with self.info.load_app().app_context():
            user = current_datastore.get_user_by_email(self.admin)
            token = Token.create_personal("run-server", user.id)
            db.session.commit()
            (self.instance / "token").write_text(f"{token.access_token}\n")


if __name__ == "__main__":
    Setup(Path(sys.argv[1]), sys.argv[2]).run()
