"""Uploads in progress: one core for every protocol, with three plans; see :mod:`.plans`, :mod:`.interface`.

While bytes stream no database connection is held. What has been acknowledged is durable, and recorded under the lock of
the upload's row; whoever was told to stop can record nothing.
"""
