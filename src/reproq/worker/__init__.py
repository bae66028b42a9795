"""The worker: its loop (loop.py), what it asks again and again (duty.py), what it tells (tell.py)."""
