"""The WSGI application of run-server.sh: Invenio's, with another log-in, and the documentation."""

from documentation import add_documentation
from invenio_app.factory import create_app
from invenio_base.signals import app_loaded
from login import guard_login

app_loaded.connect(guard_login)
app_loaded.connect(add_documentation)
application = create_app()
