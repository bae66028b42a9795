"""The tools that put load on a database and look at what became of it. A front desk: a file a command."""
