"""`python -m reproq`: the command line, with the interpreter that was chosen."""

from reproq.cli import main

main()
