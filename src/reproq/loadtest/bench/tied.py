"""`python -m reproq.loadtest.bench.tied PID worker …`: the command line of `reproq`, killed when the process PID ends.

So a bench that is killed leaves no worker behind; the worker's own template then kills what is below it.
"""

import sys

from reproq.child.kernel import die_with_parent
from reproq.cli import main

if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]))
    main(sys.argv[2:])
