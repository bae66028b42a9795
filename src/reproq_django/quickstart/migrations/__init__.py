"""The quickstart's one table."""
