"""The tools that put load on a database, and those that prove what became of it. A front desk: a file a command."""
