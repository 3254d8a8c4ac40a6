"""The application, loaded once: it forks a server, a worker or a sweep in milliseconds whenever one is asked for.

It reads a command per line from standard input, and answers with a line: the identifier of the process that it has
started, which leads a session of its own, or what came of a command that has ended.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from flask import Flask
from invenio_celery import InvenioCelery
from invenio_db import InvenioDB, db
from invenio_rest import InvenioREST
from servers.uploads import blueprint as uploads

from invenio_files_rest import InvenioFilesREST
from invenio_files_rest.app import Flask as FilesFlask
from invenio_files_rest.models import Bucket, Location, Upload
from invenio_files_rest.models.base import utcnow
from invenio_files_rest.views import blueprint

VISIBILITY_SECONDS = 2
"""Seconds after which Redis gives a message to another worker that nobody has acknowledged."""


class Anybody:
    """The permission that everybody has."""

    def can(self) -> bool:
        return True


def result_backend(broker: str | None) -> str:
    """Return where results go: to Redis, nowhere with RabbitMQ, to memory where tasks run in the server."""
    if broker is None:
        return "cache"
    return broker if broker.startswith("redis") else "disabled://"


def create_app() -> Flask:
    """Make the application, with the broker where there is one."""
    app = FilesFlask("crashing")
    broker = os.environ.get("CRASH_BROKER")
    app.config.update(
        BROKER_URL=broker,
        CELERY_BROKER_URL=broker,
        CELERY_BROKER_TRANSPORT_OPTIONS={"visibility_timeout": VISIBILITY_SECONDS},
        CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP=True,
        CELERY_RESULT_BACKEND=result_backend(broker),
        # Others may use the broker in the same moment.
        CELERY_TASK_DEFAULT_QUEUE=os.environ.get("CRASH_QUEUE", "celery"),
        CELERY_TASK_SERIALIZER="json",
        CELERY_CACHE_BACKEND="memory",
        CELERY_TASK_ALWAYS_EAGER=not broker,
        DB_VERSIONING=False,
        FILES_REST_MULTIPART_CHUNKSIZE_MIN=1,
        FILES_REST_PERMISSION_FACTORY=lambda obj, action: Anybody(),
        FILES_REST_TASK_FUNCTIONS=["test_tasks_worker:always", "test_tasks_worker:kill_worker"],
        FILES_REST_TASK_WAIT_INTERVAL=0.1,
        FILES_REST_TASK_WAIT_MAX_SECONDS=20,
        SECRET_KEY="for tests alone",
        SQLALCHEMY_DATABASE_URI=os.environ["CRASH_DATABASE"],
    )
    InvenioDB(app, entry_point_group=None)
    InvenioCelery(app, entry_point_group=None)
    InvenioREST(app)
    InvenioFilesREST(app)
    app.register_blueprint(blueprint)
    app.register_blueprint(uploads, url_prefix="/files")
    return app


def serve(app: Flask, port: str) -> None:
    """Be gunicorn."""
    from gunicorn.app.base import BaseApplication

    class Server(BaseApplication):
        def load_config(self) -> None:
            settings = {"bind": f"127.0.0.1:{port}", "worker_class": "gthread", "threads": 6, "loglevel": "error"}
            for name, value in settings.items():
                self.cfg.set(name, value)

        def load(self) -> Flask:
            return app

    Server().run()


def work(app: Flask, pool: str) -> None:
    """Be a worker of Celery."""
    celery = app.extensions["invenio-celery"].celery
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=ERROR"]
    celery.worker_main(["worker", f"--pool={pool}", "--concurrency=1", *quiet])


def prepare(app: Flask, folder: str) -> dict[str, Any]:
    """Make tables and two locations."""
    with app.app_context():
        tables = [table for table in db.metadata.sorted_tables if table.name.startswith("files_")]
        db.metadata.create_all(db.engine, tables=tables)
        for name in ("first", "second"):
            os.mkdir(f"{folder}/{name}")
            db.session.add(Location(name=name, uri=f"{folder}/{name}", default=name == "first"))
        db.session.commit()
        return {}


def make_bucket(app: Flask) -> str:
    """Make a bucket."""
    with app.app_context():
        bucket = Bucket.create()
        db.session.commit()
        return str(bucket.id)


def sweep(app: Flask, with_uploads: str) -> list[str]:
    """Sweep without grace, and tell what could not be removed."""
    from invenio_files_rest.services.sweep import sweep

    with app.app_context():
        if with_uploads == "yes":
            app.config["FILES_REST_MULTIPART_EXPIRES"] = timedelta(0)
            Upload.query.filter(Upload.status != "completing").update({"expires": utcnow()})
            db.session.commit()
        return [str(finding) for finding in sweep(timedelta(0), delete=True) if not finding.done]


def send(app: Flask, name: str, arguments: str) -> None:
    """Send a task to a worker."""
    with app.app_context():
        app.extensions["invenio-celery"].celery.tasks[f"invenio_files_rest.tasks.{name}"].delay(**json.loads(arguments))


LASTING: dict[str, Callable[..., Any]] = {"serve": serve, "work": work}
ENDING: dict[str, Callable[..., Any]] = {
    "prepare": prepare,
    "bucket": make_bucket,
    "sweep": sweep,
    "send": send,
}


def fork(function: Callable[..., Any], *arguments: Any) -> int:
    """Run a function in a process of its own, without anything of ours but the standard error output."""
    if child := os.fork():
        return child
    status = 1
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        sys.argv = ["crash"]
        function(*arguments)
        status = 0
    except SystemExit as error:
        status = int(error.code or 0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


def run(app: Flask, function: Callable[..., Any], arguments: list[str]) -> dict[str, Any]:
    """Run a function in a process of its own, and return what it returns."""
    receiving, sending = os.pipe()

    def answer() -> None:
        with os.fdopen(sending, "w") as stream:
            json.dump(function(app, *arguments), stream)

    child = fork(answer)
    os.close(sending)
    with os.fdopen(receiving) as stream:
        text = stream.read()
    _, status = os.waitpid(child, 0)
    return {"status": status, "result": json.loads(text) if text else None}


def main(app: Flask) -> None:
    """Do as told until there is nothing more to do."""
    # What is loaded here is loaded once.
    import celery.bin.worker  # noqa: F401
    import gunicorn.app.base
    import gunicorn.workers.gthread  # noqa: F401
    import kombu.transport.redis  # noqa: F401

    import invenio_files_rest.services.sweep  # noqa: F401

    answers = os.fdopen(os.dup(1), "w", buffering=1)
    for line in sys.stdin:
        command, *arguments = line.split()
        while True:
            # Those who were killed are buried.
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    break
            except ChildProcessError:
                break
        if command in LASTING:
            answer: Any = {"pid": fork(LASTING[command], app, *arguments)}
        else:
            answer = run(app, ENDING[command], arguments)
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main(create_app())
