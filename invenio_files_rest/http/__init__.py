"""How it is said in HTTP: bodies of requests, slow clients, preconditions, files and JSON as answers.

Nothing here decides what happens: that is for :mod:`invenio_files_rest.services`.
"""
