"""How gunicorn serves the application; run-server.sh adds address, workers and threads."""

wsgi_app = "invenio_app.wsgi:application"

# A slow upload holds a thread, not a process.
worker_class = "gthread"

# Ctrl-C is the control that there is.
control_socket_disable = True
