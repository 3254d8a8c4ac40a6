"""HTTP: bodies of requests, slow clients, preconditions, and files and JSON as responses.

What happens is decided in :mod:`invenio_files_rest.services`.
"""
