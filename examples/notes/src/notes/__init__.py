"""Notes with tags and full-text search, served over MCP."""
