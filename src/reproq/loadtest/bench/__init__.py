"""`reproq bench`: what Reproq costs and how fast it is, each figure beside one that no code of ours can move.

It measures, and refuses to judge: goals stand beside the figures. Rows that it commits are in a queue of its own, or it
knows their ids, and are deleted at the end; what it needs in millions lives in a transaction that is rolled back.
"""
