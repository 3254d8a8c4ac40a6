"""What run-server.sh serves: Invenio's application, with a log-in of its own."""

from invenio_app.factory import create_app
from invenio_base.signals import app_loaded
from login import guard_login

app_loaded.connect(guard_login)
application = create_app()
