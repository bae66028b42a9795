# Everything that a checkout can do. Each target does its own set-up: it finds a Python (scripts/find-python) and makes
# the virtual environment that the lock describes (scripts/venv); the second time, both take a moment.
#
#   PYTHON=/path/to/python3   the interpreter           default: the best one found
#   DJANGO=6.0|6.1            the lock                  default: 6.1
#   POSTGRES=18|16|15         the server of the tests   default: 18 (18 and 16 come as a wheel, 15 is Debian's)
#   ARGS="-k retries"         handed on to pytest, `reproq demo`, `reproq bench`, the chaos, ruff check, mypy, mkdocs or uv

DJANGO ?= 6.1
export PYTHON DJANGO

# Nothing here may touch the database of another project whose settings happen to be in the environment.
unexport LOCK DATABASE_URL DJANGO_SETTINGS_MODULE PYTHONPATH PYTHONHOME
# Who forbids bytecode has every test compiled anew by every process that collects them; `make clean` deletes it.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo bench test chaos lint types docs audit lock clean

help:
	@echo "make demo    run the demonstration on an embedded PostgreSQL (or on REPROQ_DEMO_DATABASE_URL)"
	@echo "make bench   measure what Reproq costs, on an embedded PostgreSQL of its own; ARGS=\"drain --times 1\""
	@echo "make test    run the tests; ARGS=\"-k words\", DJANGO=6.0, POSTGRES=16, PYTHON=/path/to/python3"
	@echo "make chaos   five minutes of random faults against real workers; ARGS=\"--seeds 10\", ARGS=--help"
	@echo "make lint    ruff: rules and format"
	@echo "make types   mypy --strict on the engine"
	@echo "make docs    build the documentation site, strictly, into build/site; ARGS=--verbose"
	@echo "make audit   ask whether a locked package has a known vulnerability"
	@echo "make lock    compile requirements/*.in into the locks; ARGS=--upgrade for newer versions"
	@echo "make clean   delete the environments and everything else that is made here"

demo:
	@venv=$$(scripts/venv) && unset DATABASE_URL DJANGO_SETTINGS_MODULE && exec "$$venv/bin/reproq" demo $(ARGS)

# On a quiet machine everything takes most of an hour; ARGS="drain --executor mock" a few minutes.
bench:
	@venv=$$(scripts/venv) && unset DATABASE_URL DJANGO_SETTINGS_MODULE && exec "$$venv/bin/python" scripts/bench $(ARGS)

# A checkout that belongs to someone else is read only: Hypothesis then keeps what it learns in a folder of this user's.
test:
	@venv=$$(scripts/venv) && unset DATABASE_URL DJANGO_SETTINGS_MODULE && \
	{ [ -w . ] || export HYPOTHESIS_STORAGE_DIRECTORY="$${TMPDIR:-/tmp}/reproq-hypothesis-$$(id -u)"; } && \
	REPROQ_TEST_POSTGRES='$(or $(POSTGRES),$(REPROQ_TEST_POSTGRES),18)' exec "$$venv/bin/python" -m pytest -n auto --dist worksteal $(ARGS)

# Each round has a PostgreSQL of its own, of the tests' version, and takes about as long again to finish what is left.
chaos:
	@venv=$$(scripts/venv) && unset DATABASE_URL DJANGO_SETTINGS_MODULE && \
	REPROQ_TEST_POSTGRES='$(or $(POSTGRES),$(REPROQ_TEST_POSTGRES),18)' exec "$$venv/bin/python" -m tests.acceptance.chaos $(ARGS)

lint:
	@venv=$$(scripts/venv) && "$$venv/bin/ruff" check $(ARGS) . && "$$venv/bin/ruff" format --check .

types:
	@venv=$$(scripts/venv) && exec "$$venv/bin/mypy" --strict $(ARGS) src/reproq

docs:
	@venv=$$(LOCK=docs scripts/venv) && NO_MKDOCS_2_WARNING=1 "$$venv/bin/mkdocs" build --strict $(ARGS) && echo "the site: build/site/index.html"

audit:
	@venv=$$(LOCK=audit scripts/venv) && exec "$$venv/bin/python" scripts/audit

lock:
	@scripts/lock $(ARGS)

clean:
	rm -rf .venv .cache build dist var .hypothesis .mypy_cache .ruff_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
