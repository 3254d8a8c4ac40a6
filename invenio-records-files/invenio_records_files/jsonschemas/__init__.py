"""JSON schemas of what a record tells about its files."""
