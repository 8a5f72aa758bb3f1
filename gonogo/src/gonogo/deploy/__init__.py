"""Putting a release into an environment: a table of idempotent steps, durable, under a lease.

Above ``watch``, ``adapters`` and everything below; ``bootstrap`` hands in what is needed
(``deploy.services``). A deployment says done only after the world was looked at again from outside.
"""
