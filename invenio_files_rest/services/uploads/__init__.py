"""Uploads in progress: one core for all protocols, with three plans; see :mod:`.plans` and :mod:`.interface`.

While bytes stream, no database connection is held. What has been acknowledged is durable and recorded, under the lock
of the upload's row. A writer that has been replaced by another one can no longer record anything.
"""
