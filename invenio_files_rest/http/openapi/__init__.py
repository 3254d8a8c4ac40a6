"""The description of the REST API in OpenAPI 3.1.

What arguments there are, and how objects look, is taken from the functions and schemas that requests go through. What
these cannot tell, such as which of them a request comes to, is a :class:`~.uses.Use`.
"""
