"""Telemetry: what happens, as lines of a log and as metrics. Both are off unless settings ask for them.

Signals, the moments of :mod:`~invenio_files_rest.instrumentation`, requests and tasks become events
(:mod:`~invenio_files_rest.telemetry.events`). :mod:`~invenio_files_rest.telemetry.logs` writes them,
:mod:`~invenio_files_rest.telemetry.metrics` counts them. No other room knows of either.
"""
