"""`python -m cold`: what the executor spawn starts in the tests, as `reproq_django.executor` is outside of them."""

from tasks import setup

from reproq.child.cold import main

if __name__ == "__main__":
    main(setup, "python -m cold")
