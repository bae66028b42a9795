"""The worker: loop.py steps; presence.py keeps it known, intake.py claims, ledger.py holds, tell.py tells."""
