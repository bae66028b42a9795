"""What proves that nothing is lost and nothing finished twice, on a database of yours."""
