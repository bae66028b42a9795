"""What holds for files as such: their size, their names, their docstrings, and what must never be written into one."""

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMIT_LINES = 300
NAMES_THAT_SAY_NOTHING = {"utils.py", "helpers.py", "common.py", "manager.py", "core.py"}

# Put together from pieces, so that this file does not find itself. Whoever installs chooses the index, so no file names
# one; and a path of one machine means nothing on the next.
FORBIDDEN = [
    ".".join(["pypi", "org"]),
    "python" + "hosted",
    "/" + "root" + "/",
]


def sources() -> list[Path]:
    return sorted((ROOT / "src").rglob("*.py"))


@cache
def tracked() -> tuple[Path, ...]:
    """Every file that git tracks, or will (new, not ignored); outside a repository, every file that is not hidden."""
    # safe.directory: an ordinary user may test a checkout that belongs to someone else.
    git = ["git", "-c", "safe.directory=*", "-C", str(ROOT)]
    list_files = [*git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listing = subprocess.run(list_files, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        inner = (path.relative_to(ROOT) for path in ROOT.rglob("*"))
        names = [str(path) for path in inner if not any(part.startswith((".", "__pycache__")) for part in path.parts)]
    else:
        names = listing.stdout.decode().split("\0")
    return tuple(path for name in names if name and (path := ROOT / name).is_file())


def forbidden_in(text: str) -> list[str]:
    """`line: what` of every forbidden text."""
    pattern = re.compile("|".join(FORBIDDEN))
    return [f"{n}: {hit[0]}" for n, line in enumerate(text.splitlines(), start=1) for hit in pattern.finditer(line)]


def test_no_source_file_is_longer_than_300_lines() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in sources()}
    assert not {name: lines for name, lines in lengths.items() if lines > LIMIT_LINES}


def test_every_source_file_opens_with_a_docstring() -> None:
    bare = [path for path in sources() if not ast.get_docstring(ast.parse(path.read_bytes()))]
    assert not [str(path.relative_to(ROOT)) for path in bare]


def test_no_source_file_has_a_name_that_says_nothing() -> None:
    assert not [str(path.relative_to(ROOT)) for path in sources() if path.name in NAMES_THAT_SAY_NOTHING]


def test_no_file_names_a_package_index_or_a_path_of_one_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{hit}"
        for path in tracked()
        for hit in forbidden_in(path.read_text("utf-8", errors="replace"))
    ]
    assert not found, "\n" + "\n".join(found)


def test_forbidden_texts_are_found() -> None:
    assert forbidden_in("fine\nfrom https://" + "files.python" + "hosted.org/x") == ["2: python" + "hosted"]
    assert forbidden_in("cd /" + "root/x") == ["1: /" + "root/"]


def test_the_locks_pin_every_package_by_hash_and_name_no_index() -> None:
    locks = sorted((ROOT / "requirements").glob("*.txt"))
    assert [lock.name for lock in locks] == ["audit.txt", "django-6.0.txt", "django-6.1.txt", "docs.txt"]
    for lock in locks:
        text = re.sub(r"(?m)^ *#.*\n", "", lock.read_text("utf-8")).replace("\\\n", "")
        for line in text.splitlines():
            assert re.fullmatch(r"[a-z0-9-]+==[^ ]+( ; [^-]+)?( +--hash=sha256:[0-9a-f]{64})+", line), (lock.name, line)
