"""What operators do to a whole installation: verify, migrate, sweep and check it.

Each operation is a generator. It yields a :class:`~invenio_files_rest.operations.finding.Finding` for each thing that
is worth a line, and ``None`` for each that is as it should be. Memory does not grow with the number of files, and no
transaction is open while bytes are read or files are looked for.
"""
