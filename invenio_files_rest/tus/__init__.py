"""Uploads that never start over: tus 1.0, and the IETF's draft *Resumable Uploads for HTTP*.

Both are on the plan *appended* of :mod:`invenio_files_rest.services.uploads`. Who may ask is for the views to say.
"""
