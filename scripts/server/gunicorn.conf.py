"""How gunicorn serves the application; run-server.sh adds address, workers and threads."""

import gc
import os
import sys
from typing import Any

sys.path.append(os.path.dirname(os.path.abspath(__file__)))

wsgi_app = "application:application"

# A slow upload holds a thread, not a process.
worker_class = "worker.Worker"

accesslog = "-"
logger_class = "log.Logger"
_client = "%({x-forwarded-for}i)s" if os.environ.get("SERVER_PROXY") else "%(h)s"
access_log_format = f'{_client} %(t)s "%(m)s %(U)s" %(s)s %({{content-length}}o)s bytes %(M)s ms'


def post_worker_init(worker: Any) -> None:
    """Write as the application does, once it is there, and end without going through all that is loaded."""
    import log

    log.set_up(worker.wsgi.config["FILES_REST_LOG_FORMAT"])
    gc.freeze()


# Ctrl-C is the control that there is.
control_socket_disable = True
