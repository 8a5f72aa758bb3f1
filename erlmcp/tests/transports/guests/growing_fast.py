"""A FastMCP whose tools come and go."""

from fastmcp import FastMCP

server = FastMCP("growing", version="1.0.0")
