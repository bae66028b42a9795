"""`python -m reproq.child --setup module:function --control FD …`: what a worker executes. Not for people."""

import argparse
import socket
import sys

from reproq.child.template import Template


def main() -> None:
    """Read the command line and become the template."""
    parser = argparse.ArgumentParser(prog="python -m reproq.child", description=__doc__)
    parser.add_argument("--setup", required=True, metavar="MODULE:FUNCTION")
    parser.add_argument("--control", required=True, type=int, metavar="FD", help="a SOCK_SEQPACKET socket")
    parser.add_argument("--worker", required=True, type=int, metavar="PID", help="the process that starts this one")
    parser.add_argument("--max-return-bytes", required=True, type=int, metavar="N")
    parser.add_argument("--max-memory-bytes", type=int, default=0, metavar="N", help="for each process of a run")
    parser.add_argument("--path", action="append", default=[], metavar="DIR", help="a folder to import from, first")
    options = parser.parse_args()
    sys.path[:0] = [folder for folder in options.path if folder not in sys.path]
    control = socket.socket(fileno=options.control)
    control.set_inheritable(False)
    template = Template(options.setup, control, options.worker, options.max_return_bytes, options.max_memory_bytes)
    template.main()


if __name__ == "__main__":
    main()
