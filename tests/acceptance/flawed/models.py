"""An application whose import does what an import should not: PROJECT_FLAW says what."""

import os
import threading
import time
from pathlib import Path

from django.db import connection

match os.environ["PROJECT_FLAW"]:
    case "connection":
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    case "thread":
        threading.Thread(target=time.sleep, args=(600,), name="metrics-flusher", daemon=True).start()
    case "slow":
        Path(os.environ["PROJECT_MARK"]).touch()
        time.sleep(60)
    case "error":
        raise RuntimeError("this project cannot be imported")
