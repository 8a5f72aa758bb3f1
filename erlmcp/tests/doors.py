"""The ways in at which an access token is asked for, and what one is told who is let in."""

DOORS = ("post", "initialize", "get", "delete", "sse", "sse-post", "websocket", "tcp")
HTTP_DOORS = DOORS[:-1]
INSIDE = dict.fromkeys(DOORS, 200) | {"get": 400, "delete": 400, "sse-post": 404, "websocket": 101}
"""Statuses; without a session there is not more to be had."""
