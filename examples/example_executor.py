"""A program with the interface of the first Reproq worker: `--payload` in, JSON on stdout. No package is needed.

[commands]
"legacy.*" = ["python", "examples/example_executor.py", "--payload", "{payload}"]
"""

import argparse
import json


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--payload", required=True)
    payload = json.loads(parser.parse_args().payload)

    result = {"status": "ok", "data": f"processed {payload['task_path']}"}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
