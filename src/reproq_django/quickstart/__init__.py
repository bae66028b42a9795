"""A small Django project that `reproq demo` runs: it measures the source files of Python's standard library."""
