"""The other end of an executor: what runs inside the processes that a worker starts.

`template` imports the project once and forks on request, `run` is one attempt inside a fork of it, `warming` what that
does while it waits, `control` what template and worker say to each other, `kernel` what they both ask of Linux. `cold`
is one attempt in a process of its own, `program` the same for programs without Django, `guard` what kills both when
their worker is gone. Nothing here knows Django: the setup function that is named to it imports the project and returns
the runner.
"""
