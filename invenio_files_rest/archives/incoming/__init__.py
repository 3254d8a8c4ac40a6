"""Archives that are taken apart: the entries of a TAR while it comes, and of a ZIP that can seek.

What is in them was made by somebody else. Names, sizes, headers and compression are limited, and nothing is believed.
"""
