"""The operations: storing and removing objects, uploads, and the maintenance of a whole installation.

Views, tasks and commands call them. They know neither requests nor responses.
"""
