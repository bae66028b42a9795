"""A task in Python without Django: the payload's args become the function's, its value the return value.

[commands]
"billing.total" = ["python", "examples/total.py"]
"""

from reproq.child.program import answer

answer(lambda *prices: {"total": sum(prices)})
