"""Archives: the objects of a bucket as one ZIP or TAR file.

The length of an archive, its entity tag and each of its bytes follow from the versions in it, so that a download can be
resumed at any byte, in another process, or after new versions have been stored.
"""
