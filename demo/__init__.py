"""``make demo``: two releases of ``examples/notes`` for real, under a client that never retries.

``__main__`` is the story. ``client``, ``subscription``, ``wire`` and ``calls`` are the client that counts;
``workspace`` and ``service`` make and run what is shipped; ``findings`` decides whether all of it was seen.
gonogo and erlmcp are driven through their command lines only, as a person would.
"""
