"""What happens: transactions, the way in for bytes, uploads, and what operators do to a whole installation.

No request and no response: views, tasks and commands call what is here.
"""
