"""JSON schemas of the files in a record."""
