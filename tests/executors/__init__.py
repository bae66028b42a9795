"""One conformance suite for all executors, and what is only true of some of them."""
