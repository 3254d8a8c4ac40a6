"""Crash safety, tried: the real server, worker and database are killed at random instants, and then looked at."""
