"""Fixtures that every test shares: an application per database, its tables, and the first things to work with.

Tests run on SQLite, and on each other database whose server an environment variable names; ``run-tests.sh`` starts
these servers, ``scripts/services.py`` does the same for a shell.
"""

from __future__ import annotations

import contextvars
import logging
import os
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime, timedelta, timezone
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from click.testing import Result
from flask import Flask, has_app_context, request
from flask.testing import FlaskClient
from sqlalchemy import URL, event, exists, insert, literal, make_url, select, union_all
from sqlalchemy_utils.functions import create_database, drop_database
from werkzeug.test import TestResponse

if TYPE_CHECKING:
    from celery import Celery
    from flask_sqlalchemy import SQLAlchemy
    from helpers.s3 import Store
    from sqlalchemy import Table

    from invenio_files_rest.models import Bucket, Location

# Tests of records' files have these tests as a package.
check_by_description = import_module(f"{__name__.removesuffix('conftest')}helpers.openapi").check_by_description

SERVERS = {"postgresql": "TEST_POSTGRESQL_URL", "mariadb": "TEST_MARIADB_URL"}
"""Databases other than SQLite, with the variable that holds the URL of a server where databases may be created."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--databases",
        metavar="NAMES",
        help="databases to test on, separated by commas: sqlite, postgresql, mariadb (default: all that there are); "
        "servers: all but sqlite. Tests that need no database run with sqlite",
    )


def selected_databases(config: pytest.Config) -> list[str]:
    """Return the names of the databases that tests run on."""
    available = ["sqlite", *(name for name, variable in SERVERS.items() if os.environ.get(variable))]
    wanted = config.getoption("--databases")
    if not wanted:
        return available
    names = available[1:] if wanted == "servers" else wanted.split(",")
    for name in names:
        if name not in available:
            reason = f"{SERVERS[name]} is not set" if name in SERVERS else "there is no such database"
            raise pytest.UsageError(f"--databases: no tests on {name}: {reason}")
    return names


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "store" in metafunc.fixturenames:
        from helpers.s3 import chosen_stores

        every = metafunc.definition.get_closest_marker("every_store") is not None
        metafunc.parametrize("store", chosen_stores(every), indirect=True)
    if "database" in metafunc.fixturenames:
        names = selected_databases(metafunc.config)
        # What object stores do has nothing to do with the database.
        names = names[:1] if "store" in metafunc.fixturenames else names
        metafunc.parametrize("database", names, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        # Of several processes none should be left alone with a slow module at the end.
        items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    if "sqlite" in selected_databases(config):
        return
    fixtures = {item: getattr(item, "fixturenames", ()) for item in items}
    with_database = [item for item in items if "database" in fixtures[item] and "store" not in fixtures[item]]
    kept = set(with_database)
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = with_database


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    names = selected_databases(config)
    terminalreporter.write_line(f"Databases tested: {', '.join(names)}")
    for name, variable in SERVERS.items():
        if name not in names:
            reason = "not asked for" if os.environ.get(variable) else f"{variable} is not set; ./run-tests.sh sets it"
            terminalreporter.write_line(f"Database not tested: {name} ({reason})", yellow=True)


@contextmanager
def temporary_database(database: str, folder: Path) -> Iterator[URL]:
    """Make an empty database: in a folder for SQLite, else on the server, under a name that nobody else uses."""
    if database == "sqlite":
        yield make_url(f"sqlite:///{folder}/test.db")
        return
    url = make_url(os.environ[SERVERS[database]]).set(database=f"files_{uuid4().hex}")
    create_database(url, encoding="utf8mb4" if database == "mariadb" else "utf8")
    yield url
    drop_database(url)


@pytest.fixture(autouse=True)
def loggers() -> None:
    """Let every logger log: what configures logging, as migrations do, disables those that are there."""
    for logger in logging.Logger.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.disabled = False


@pytest.fixture(scope="session", autouse=True)
def no_secret_is_logged() -> Iterator[None]:
    """Compare every line that is logged in this process with the tokens, cookies and signatures of all requests."""
    from flask.signals import request_started

    from invenio_files_rest.telemetry.logs import ROOT, make_formatter
    from invenio_files_rest.telemetry.redaction import secrets_of

    formatter = make_formatter("json")
    secrets: set[str] = set()
    told: list[str] = []

    def note(app: Flask, **kwargs: Any) -> None:
        # Shorter ones are words.
        secrets.update(secret for secret in secrets_of(request) if len(secret) >= 12)

    class Reader(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            line = formatter.format(record)
            told.extend(f"{secret}: {line}" for secret in secrets if secret in line)

    reader = Reader(logging.INFO)
    request_started.connect(note)
    for name in (None, ROOT):
        logging.getLogger(name).addHandler(reader)
    yield
    request_started.disconnect(note)
    for name in (None, ROOT):
        logging.getLogger(name).removeHandler(reader)
    assert told == []


@pytest.fixture(scope="session")
def made_once() -> Iterator[Callable[[str, Callable[[], AbstractContextManager[Any]]], Any]]:
    """Return a function that makes what is kept until the end, though pytest goes from one database to another."""
    made: dict[str, Any] = {}
    with ExitStack() as stack:

        def make(name: str, context: Callable[[], AbstractContextManager[Any]]) -> Any:
            if name not in made:
                made[name] = stack.enter_context(context())
            return made[name]

        yield make


@pytest.fixture(scope="session")
def database_url(database: str, made_once: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> URL:
    """Return the database of the application."""
    folder = tmp_path_factory.mktemp("database")
    return made_once(f"database {database}", lambda: temporary_database(database, folder))


@pytest.fixture
def empty_database_url(database: str, tmp_path: Path) -> Iterator[URL]:
    """Give a database of this test's own, without tables."""
    with temporary_database(database, tmp_path) as url:
        yield url


class IsolatedClient(FlaskClient):
    """A client whose requests run as on a server: in an application context, and a database session, of their own.

    What the test's own session holds is committed before, so that the request finds it, and the test sees afterwards
    what the request has changed. Every answer has to be as the description of the API says.
    """

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        """Send a request, and read the whole answer."""
        from invenio_db import db

        kwargs["buffered"] = True
        if has_app_context():
            db.session.commit()
        response: TestResponse = contextvars.Context().run(super().open, *args, **kwargs)
        check_by_description(self.application, response)
        return response


@pytest.fixture(scope="session")
def app_config(database_url: URL) -> dict[str, Any]:
    """Return the settings of the application."""
    return {
        "ACCOUNTS_SESSION_REDIS_URL": "",
        "ACCOUNTS_USE_CELERY": False,
        "CACHE_TYPE": "SimpleCache",
        "BROKER_URL": "memory://",
        "CELERY_BROKER_URL": "memory://",
        "CELERY_CACHE_BACKEND": "memory",
        "CELERY_RESULT_BACKEND": "cache",
        "CELERY_TASK_ALWAYS_EAGER": True,
        "CELERY_TASK_EAGER_PROPAGATES": True,
        # What tests do is observed, so that none of it fails for that; answers are compared with each other.
        "FILES_REST_LOG_FORMAT": "json",
        "FILES_REST_METRICS_TOKEN": "for tests of metrics",
        "FILES_REST_REQUEST_ID_HEADER": None,
        "SECRET_KEY": "for tests alone",
        "SECURITY_DEPRECATED_PASSWORD_SCHEMES": [],
        "SECURITY_PASSWORD_HASH": "plaintext",
        "SECURITY_PASSWORD_SCHEMES": ["plaintext"],
        "SERVER_NAME": "localhost",
        "SQLALCHEMY_DATABASE_URI": database_url.render_as_string(hide_password=False),
        "SQLALCHEMY_TRACK_MODIFICATIONS": False,
        "TESTING": True,
        "WTF_CSRF_ENABLED": False,
    }


def own_tables(db: SQLAlchemy) -> list[Table]:
    """Return the tables of this module and of what it builds on.

    Models of other packages that are installed come along through their entry points; those of Invenio-OAuth2Server
    cannot be created on MariaDB.
    """
    return [table for table in db.metadata.sorted_tables if table.name.startswith(("access_", "accounts_", "files_"))]


@pytest.fixture(scope="session")
def base_app(
    database: str, app_config: dict[str, Any], made_once: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Flask:
    """Return the API of an Invenio application that has this module and what it builds on."""
    folder = tmp_path_factory.mktemp("instance")
    return made_once(f"application {database}", lambda: application(app_config, folder))


def without_waiting_for_the_disk(connection: Any, record: Any) -> None:
    """Let a connection to SQLite not wait, as the servers of other databases in tests do not."""
    connection.execute("PRAGMA synchronous = OFF")


@contextmanager
def application(app_config: dict[str, Any], folder: Path) -> Iterator[Flask]:
    """Make an application and its tables.

    :param app_config: Its settings.
    :param folder: Its instance path.
    """
    from invenio_access import InvenioAccess
    from invenio_accounts import InvenioAccountsREST
    from invenio_celery import InvenioCelery
    from invenio_db import InvenioDB, db
    from invenio_i18n import InvenioI18N
    from invenio_rest import InvenioREST

    from invenio_files_rest import InvenioFilesREST
    from invenio_files_rest.app import Flask
    from invenio_files_rest.views import blueprint

    app = Flask("testapp", instance_path=str(folder))
    app.test_client_class = IsolatedClient
    app.config.update(app_config)
    extensions = (
        InvenioCelery,
        InvenioDB,
        InvenioI18N,
        InvenioREST,
        InvenioAccountsREST,
        InvenioAccess,
        InvenioFilesREST,
    )
    for extension in extensions:
        extension(app)
    app.register_blueprint(blueprint)
    with app.app_context():
        if db.engine.dialect.name == "sqlite":
            event.listen(db.engine, "connect", without_waiting_for_the_disk)
        db.metadata.create_all(db.engine, tables=own_tables(db))
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def app(base_app: Flask) -> Iterator[Flask]:
    """Give the application, with its context pushed, and take back what the test has set in it.

    In one process there is one Celery application, which another test's Flask application may have configured since.
    """
    from flask_celeryext import create_celery_app

    name = "SQLALCHEMY_DATABASE_URI"
    if base_app.extensions["flask-celeryext"].celery.conf.get(name) != base_app.config[name]:
        create_celery_app(base_app)
    config, state = base_app.config.copy(), base_app.extensions["invenio-files-rest"]
    members = vars(state).copy()
    with base_app.app_context():
        yield base_app
    for changed, kept in ((base_app.config, config), (vars(state), members)):
        changed.clear()
        changed.update(kept)


@pytest.fixture
def db(app: Flask) -> Iterator[SQLAlchemy]:
    """Give the database with its tables, empty, and empty them again."""
    from invenio_db import db

    yield db
    db.session.remove()
    tables = own_tables(db)
    with db.engine.begin() as connection:
        # Asking for all at once takes less than emptying each, which most tests have not filled.
        filled = set(
            connection.scalars(
                union_all(*(select(literal(table.name)).where(exists(select(table))) for table in tables))
            )
        )
        for table in reversed(tables):
            if table.name in filled:
                connection.execute(table.delete())


@pytest.fixture
def client(app: Flask, db: SQLAlchemy) -> FlaskClient:
    """Return a client of the REST API."""
    return app.test_client()


@pytest.fixture
def run(base_app: Flask, db: SQLAlchemy) -> Callable[..., Result]:
    """Return a function that runs a command as from a shell: in an application context of its own."""

    def run(*arguments: str) -> Result:
        db.session.commit()
        return contextvars.Context().run(base_app.test_cli_runner().invoke, args=list(arguments))

    return run


@pytest.fixture
def allow_all(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everyone do everything over REST."""
    monkeypatch.setattr(
        app.extensions["invenio-files-rest"],
        "permission_factory",
        lambda obj, action: type("Allow", (), {"can": lambda self: True})(),
    )


@pytest.fixture
def location(db: SQLAlchemy, tmp_path: Path) -> Location:
    """Make the default location, in a folder of this test."""
    from invenio_files_rest.models import Location
    from invenio_files_rest.telemetry.identifiers import location_name

    folder = tmp_path / "location"
    folder.mkdir()
    location = Location(name="testloc", uri=str(folder), default=True)
    db.session.add(location)
    db.session.commit()
    # Metrics ask once for the name of a location: not in the middle of a test that counts statements.
    location_name(location.id)
    db.session.commit()
    return location


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 8 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"A file system cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def bucket(db: SQLAlchemy, location: Location) -> Bucket:
    """Make an empty bucket in the default location."""
    from invenio_files_rest.models import Bucket

    bucket = Bucket.create(location)
    db.session.commit()
    return bucket


@pytest.fixture
def fill(db: SQLAlchemy, bucket: Bucket) -> Callable[..., None]:
    """Add objects that share a file, the last version of each its head, with as few statements as there are tables."""
    from invenio_files_rest.models import FileInstance, ObjectVersion, ObjectVersionTag

    start = datetime(2026, 1, 1, tzinfo=timezone.utc)

    def add(keys: Iterable[str], versions: int = 1, tags: int = 0, bucket: Bucket = bucket) -> None:
        file = FileInstance.new().set_uri(f"/nowhere/{uuid4()}", 7, "md5:" + "0" * 32)
        db.session.add(file)
        db.session.flush()
        rows = [
            {
                "version_id": uuid4(),
                "bucket_id": bucket.id,
                "key": key,
                "file_id": file.id,
                "is_head": number == versions - 1,
                "created": start + timedelta(seconds=number),
                "updated": start + timedelta(seconds=number),
            }
            for key in keys
            for number in range(versions)
        ]
        db.session.execute(insert(ObjectVersion), rows)
        if tags:
            values = [
                {"version_id": row["version_id"], "key": f"t{number}", "value": row["key"]}
                for row in rows
                for number in range(tags)
            ]
            db.session.execute(insert(ObjectVersionTag), values)
        db.session.commit()

    return add


@pytest.fixture
def begin_uploads(db: SQLAlchemy) -> Callable[[Bucket, Iterable[str]], None]:
    """Begin multipart uploads, with as few statements as there are tables."""
    from invenio_files_rest.models import FileInstance, MultipartObject

    def begin(bucket: Bucket, keys: Iterable[str]) -> None:
        rows = [{"bucket_id": bucket.id, "key": key, "file_id": uuid4(), "size": 10, "chunk_size": 4} for key in keys]
        files = [{"id": row["file_id"], "uri": f"/nowhere/{row['file_id']}", "storage_class": "S"} for row in rows]
        if rows:
            db.session.execute(insert(FileInstance), files)
            db.session.execute(insert(MultipartObject), rows)
        db.session.commit()

    return begin


@pytest.fixture
def small_parts(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let parts of multipart uploads have four bytes."""
    monkeypatch.setitem(app.config, "FILES_REST_MULTIPART_CHUNKSIZE_MIN", 4)


@pytest.fixture
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """Give a prefix of its own in an object store; in each of them to a test that is marked ``every_store``."""
    from helpers.s3 import Store

    store = Store(request.param)
    yield store
    store.clean()


@pytest.fixture
def s3_bucket(app: Flask, db: SQLAlchemy, store: Store, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """Make a bucket of ours whose location is in an object store."""
    from invenio_files_rest.models import Bucket, Location

    monkeypatch.setitem(app.config, "FILES_REST_S3_LOCATIONS", {store.location.uri: store.settings})
    location = Location(name="s3", uri=store.location.uri, default=True)
    db.session.add(location)
    db.session.commit()
    bucket = Bucket.create(location)
    db.session.commit()
    return bucket


@pytest.fixture
def celery_app(app: Flask) -> Iterator[Celery]:
    """Give the Celery application with a broker, so that a task waits until a worker takes it."""
    celery: Celery = app.extensions["flask-celeryext"].celery
    celery.conf.task_always_eager = False
    yield celery
    celery.conf.task_always_eager = True
    with celery.connection_for_write() as connection:
        connection.default_channel.queue_purge(celery.conf.task_default_queue)


@pytest.fixture
def worker(app: Flask, celery_app: Celery) -> Iterator[None]:
    """Run a Celery worker, in threads of this process, on this application.

    In one process there is one Celery application, and it runs tasks in the context of the first Flask application.
    """
    from celery.contrib.testing.worker import start_worker
    from celery.signals import setup_logging, task_postrun, task_prerun

    contexts, environment = {}, os.environ.copy()

    def leave_logging_alone(**kwargs: Any) -> None:
        """Be asked instead of Celery, which would let the process log errors alone from then on."""

    def enter(task_id: str, **kwargs: Any) -> None:
        contexts[task_id] = app.app_context()
        contexts[task_id].push()

    def leave(task_id: str, **kwargs: Any) -> None:
        contexts.pop(task_id).pop()

    setup_logging.connect(leave_logging_alone)
    task_prerun.connect(enter)
    task_postrun.connect(leave)
    with start_worker(celery_app, pool="threads", concurrency=2, perform_ping_check=False, shutdown_timeout=60):
        yield
    task_prerun.disconnect(enter)
    task_postrun.disconnect(leave)
    setup_logging.disconnect(leave_logging_alone)
    # Workers leave notes for processes that they might start.
    os.environ.clear()
    os.environ.update(environment)
