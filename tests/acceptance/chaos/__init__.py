"""Chaos: real workers on a real PostgreSQL while everything around them breaks, by a seeded schedule.

plan.py says what hits when; world.py owns server, proxies and processes; faults.py strikes; producer.py and tasks.py
write down what happened, outside the database; evidence.py gathers it all; checks.py judges it, and knows nothing of
how it came about; round.py plays one round; report.py shows it. `make chaos` is __main__.py.
"""
