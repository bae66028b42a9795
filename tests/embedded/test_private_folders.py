"""Who can reach the server: its owner alone. And nothing outside its two folders is touched."""

import os
import stat
import tempfile
from pathlib import Path

import pytest

from reproq.errors import ConfigurationError
from reproq_django.embedded import sockets
from reproq_django.embedded.server import Server

from .conftest import NewServer


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_data_folder_and_socket_folder_are_closed_to_others(shared: Server) -> None:
    for folder in (shared.path, shared.data, shared.socket_folder):
        assert mode(folder) == 0o700, folder
        assert folder.stat().st_uid == os.geteuid()
    assert mode(shared.socket_folder / ".s.PGSQL.5432") == 0o700


def test_only_the_local_socket_is_let_in(shared: Server) -> None:
    assert (shared.data / "pg_hba.conf").read_text() == "local all all trust\n"


def test_nothing_is_changed_above_the_data_folder(new_server: NewServer, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    parents = [home, *home.parents, Path(tempfile.gettempdir())]
    before = [(folder.stat().st_mode, folder.stat().st_uid, folder.stat().st_gid) for folder in parents]
    server = new_server(home / "db")
    server.start()
    server.stop()
    assert [(folder.stat().st_mode, folder.stat().st_uid, folder.stat().st_gid) for folder in parents] == before
    assert os.listdir(home) == ["db"]


def test_an_empty_folder_made_beforehand_is_closed(new_server: NewServer, tmp_path: Path) -> None:
    (tmp_path / "db").mkdir(mode=0o755)
    server = new_server(tmp_path / "db")
    server.start()
    assert mode(server.path) == 0o700


def test_a_folder_that_holds_other_things_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir(mode=0o755)
    (tmp_path / "project" / "manage.py").touch()
    with pytest.raises(ConfigurationError, match=r"holds other things \(manage\.py\).*a folder of its own"):
        Server(tmp_path / "project").start()
    assert mode(tmp_path / "project") == 0o755
    assert os.listdir(tmp_path / "project") == ["manage.py"]


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "db").touch()
    with pytest.raises(ConfigurationError, match="is a file; give the path of a folder"):
        Server(tmp_path / "db").start()


def test_the_socket_folder_is_the_same_for_the_same_user_and_path_only(tmp_path: Path) -> None:
    folder = sockets.socket_folder(tmp_path / "a", 1000)
    assert folder == sockets.socket_folder(tmp_path / "a", 1000)
    assert folder not in {sockets.socket_folder(tmp_path / "b", 1000), sockets.socket_folder(tmp_path / "a", 1001)}


def test_a_socket_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o755)
    server = Server(tmp_path / "db")
    server.socket_folder.symlink_to(tmp_path / "elsewhere")
    try:
        with pytest.raises(ConfigurationError, match="is a symbolic link, so somebody else could answer there"):
            sockets.claim(server.socket_folder, os.geteuid(), os.getegid())
    finally:
        server.socket_folder.unlink()
    assert mode(tmp_path / "elsewhere") == 0o755


def test_a_socket_folder_of_another_user_is_refused_and_kept(tmp_path: Path, as_root: None) -> None:
    folder = tmp_path / "socket"
    folder.mkdir(mode=0o700)
    os.chown(folder, 12345, 12345)
    with pytest.raises(ConfigurationError, match="owned by uid 12345, not by uid 0"):
        sockets.claim(folder, 0, 0)
    sockets.remove(folder, 0)
    assert folder.exists()


def test_a_folder_that_is_no_socket_folder_of_ours_is_never_removed(tmp_path: Path) -> None:
    """A server that was started by hand listens in /tmp, say, or nowhere, which is the folder one stands in."""
    for folder in (tmp_path, Path()):
        sockets.remove(folder, folder.stat().st_uid)
        assert folder.exists()
    (ours := tmp_path / f"reproq-{os.geteuid()}-0123456789abcdef").mkdir()
    sockets.remove(ours, os.geteuid())
    assert not ours.exists()


def test_a_socket_folder_that_was_swapped_under_a_running_server_is_noticed(new_server: NewServer) -> None:
    server = new_server()
    server.start()
    folder = server.socket_folder
    moved = folder.rename(folder.with_name(folder.name + "-moved"))
    folder.symlink_to(moved)
    try:
        with pytest.raises(ConfigurationError, match="symbolic link"):
            server.start()
    finally:
        folder.unlink()
        moved.rename(folder)


def test_a_socket_path_that_is_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(tempfile, "tempdir", "/" + "t" * 100)
    with pytest.raises(ConfigurationError, match="the system allows 107; set TMPDIR to a folder with a shorter path"):
        sockets.socket_folder(tmp_path, 0)
