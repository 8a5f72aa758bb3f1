"""The production server for Python MCP servers."""

__version__ = "0.1.0"
