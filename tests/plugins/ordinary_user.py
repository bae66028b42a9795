"""Fixtures for tests that root runs as somebody else: an interpreter and folders that every user can reach."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import reproq


def open_to_all(path: Path) -> bool:
    """Whether any user can go there: in a shut home, not even a readable file can be reached."""
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user of the machine can reach, as pytest's own is not."""
    folder = Path(tempfile.mkdtemp(prefix="open"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def as_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root has to run PostgreSQL as somebody else")


@pytest.fixture
def user_python(open_folder: Path) -> tuple[list[str], dict[str, str]]:
    """A command and an environment with which any user runs Python with our packages, copied where need be."""
    python, packages = Path(sys.base_prefix), Path(psycopg.__file__).parent.parent
    if not open_to_all(python):
        name = f"python{sys.version_info.major}.{sys.version_info.minor}"
        left_out = shutil.ignore_patterns("site-packages", "__pycache__", "test", "config-*", "idlelib", "ensurepip")
        shutil.copytree(python / "lib", open_folder / "python/lib", symlinks=True, ignore=left_out)
        (open_folder / "python/bin").mkdir()
        shutil.copy(python / "bin" / name, open_folder / "python/bin/python3")
        python = open_folder / "python"
    if not open_to_all(packages):
        for package in [*packages.glob("psycopg*"), *packages.glob("pixeltable*"), *packages.glob("typing_ext*")]:
            copy = shutil.copytree if package.is_dir() else shutil.copy
            copy(package, open_folder / "packages" / package.name)
        packages = open_folder / "packages"
    source = Path(reproq.__file__).parent.parent
    if not open_to_all(source):
        source = Path(shutil.copytree(source, open_folder / "src"))
    environment = {
        "PATH": "/usr/bin:/bin",
        "LD_LIBRARY_PATH": str(python / "lib"),
        "PYTHONHOME": str(python),
        "PYTHONPATH": f"{source}:{packages}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return [str(python / "bin/python3"), "-W", "error", "-c"], environment
