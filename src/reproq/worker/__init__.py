"""The worker: loop.py steps, hearing.py hears answers, presence.py keeps it known, intake.py claims, tell.py tells."""
