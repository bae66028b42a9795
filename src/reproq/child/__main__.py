"""`python -m reproq.child --setup module:function --control FD …`: what a worker executes. Not for people."""

import argparse
import socket

from reproq.child.template import Template


def main() -> None:
    """Read the command line and become the template."""
    parser = argparse.ArgumentParser(prog="python -m reproq.child", description=__doc__)
    parser.add_argument("--setup", required=True, metavar="MODULE:FUNCTION")
    parser.add_argument("--control", required=True, type=int, metavar="FD", help="a SOCK_SEQPACKET socket")
    parser.add_argument("--worker", required=True, type=int, metavar="PID", help="the process that starts this one")
    parser.add_argument("--max-return-bytes", required=True, type=int, metavar="N")
    options = parser.parse_args()
    control = socket.socket(fileno=options.control)
    control.set_inheritable(False)
    Template(options.setup, control, options.worker, options.max_return_bytes).main()


if __name__ == "__main__":
    main()
