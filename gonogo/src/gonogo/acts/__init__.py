"""What a person can do with a release: check, attest, sign, deploy, look, verify.

One file for each act. An act is a use case: it reads configuration and record, calls the packages below
in order, and gives facts back; it prints nothing. Neighbours: ``cli`` shows, ``bootstrap`` wires.
"""
