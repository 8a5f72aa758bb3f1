"""Throws hostile bytes at every framing that erlmcp reads: HTTP, JSON-RPC, WebSocket and lines.

``python -m fuzz`` runs it; the real protocol objects are driven, with a transport that only collects bytes.
"""
