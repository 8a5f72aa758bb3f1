"""Writes numbered lines to a log that several processes share, and looks at it meanwhile as they do."""

from __future__ import annotations

import json
import sys

from erlmcp.config.log_settings import LogSettings
from erlmcp.telemetry.log_file import LogFile
from erlmcp.telemetry.log_writer import LogWriter

settings, name, count = LogSettings.model_validate_json(sys.argv[1]), sys.argv[2], int(sys.argv[3])
log_file = LogFile(settings)
for number in range(count):
    LogWriter(log_file.descriptor).write_line(json.dumps({"writer": name, "n": number, "text": "x" * 200}))
    if number % 20 == 19:
        log_file.look()
    if number == 100:
        sys.stdout.write("begun\n")
        sys.stdout.flush()
