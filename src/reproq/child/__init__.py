"""The other end of an executor: what runs inside the processes that a worker starts.

`template` imports the project once and forks on request, `run` is one attempt inside a fork of it, `control` is what
template and worker say to each other, `kernel` is what they both ask of Linux. Nothing here knows Django: the setup
function named on the command line imports the project and returns the runner.
"""
