"""The one owner of the tables."""
