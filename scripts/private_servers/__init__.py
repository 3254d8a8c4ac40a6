"""The databases and brokers of the tests, as servers that run in a folder and leave nothing behind."""
