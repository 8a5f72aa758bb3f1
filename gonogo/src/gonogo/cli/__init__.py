"""The command line: data on stdout, messages on stderr, exit codes 0 GO or done, 1 NO-GO or failed,
2 usage or internal, 3 HOLD.

One file for each command. A command reads its arguments, calls one use case and shows what came back;
it decides nothing. Faults become text in ``gonogo.cli.faults`` and nowhere else.
"""
