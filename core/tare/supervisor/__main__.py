"""What ``python -I -S …/tare/supervisor ROLE …`` runs: the supervisor or one of the processes beside it."""

import os
import sys

if __name__ == "__main__":
    # -I and -S keep environment and site-packages out, so the package's own folder is all that is added.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    role, *arguments = sys.argv[1:]
    module = {"supervisor": "main"}.get(role, role)
    if module not in ("main", "template", "logger", "janitor", "forwarder"):
        sys.exit(f"no such role: {role}")
    __import__(f"tare.supervisor.{module}")
    sys.modules[f"tare.supervisor.{module}"].main(arguments)
