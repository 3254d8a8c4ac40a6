"""How gunicorn serves the application behind nginx, which reads the heads of requests and buffers the answers."""

import gc
import os
from typing import Any

bind = os.environ.get("FILES_BIND", "127.0.0.1:5001")
wsgi_app = "invenio_app.wsgi:application"

# A thread for each upload that is on its way; nginx lets one address have 32.
worker_class = "gthread"
workers = int(os.environ.get("FILES_WORKERS", "2"))
threads = 64
# A worker that dies is there again at once, and shares the memory of the application.
preload_app = True
worker_tmp_dir = "/dev/shm"

# Longer than nginx keeps connections that nothing is sent on.
keepalive = 75
# Uploads that are on their way may end for so long; systemd and compose wait for a little more before they kill.
graceful_timeout = 60

# Each request has a line of the application's.
accesslog = None
control_socket_disable = True


def when_ready(server: Any) -> None:
    """Leave what is loaded out of collections: workers share its memory, and end without going through all of it."""
    gc.collect()
    gc.freeze()
