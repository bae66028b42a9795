"""The simulation: real workers and real SQL, driven through faults step by step, by a seed.

    history.py    what happens, drawn from a seed: events that can be dropped one by one
    world.py      makes it happen: workers, people, faults, and one virtual clock
    process.py    one worker process: the real loop, a store that serves when it is told to, runs that end when told to
    session.py    a connection whose transactions can be held, cut and lost at every statement
    clock.py      the virtual time, and what each host takes it for
    faults.py     what a fault does to a request
    people.py     producers and operators
    calm.py       the end: without faults, everything must finish
    ledger.py     what was committed, and what a crash of the database forgets of it
    rules.py      what must be true of every commit
    shrink.py     drops what a failing history does not need
    run.py        plays histories and tells how they went

What it does not model: two statements that wait for each other inside the server (a lock that is held fails the
statement after a millisecond, and it is asked again), and torn commits of a server that does not flush.
"""
