"""Files and folders appear whole or not at all, whatever stops the writing."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from perceptio.files import (
    OutputError,
    check_writable,
    check_writable_folder,
    replacing,
    replacing_folder,
    write_files,
)


def content(folder: Path) -> dict[str, str]:
    """Every file below a folder, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The system refuses files beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def write_half(path: Path, stop: BaseException) -> None:
    with replacing(path) as beside:
        beside.write_text("half")
        raise stop


def write_half_folder(path: Path, stop: BaseException) -> None:
    with replacing_folder(path) as beside:
        (beside / "a.txt").write_text("half")
        raise stop


def test_replacing_makes_folders_and_leaves_only_the_file(tmp_path: Path) -> None:
    with replacing(tmp_path / "a" / "b" / "c.txt") as beside:
        beside.write_text("new")
        assert not (tmp_path / "a" / "b" / "c.txt").exists()
    assert content(tmp_path) == {"a/b/c.txt": "new"}


def test_replacing_shows_the_old_file_until_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with replacing(path) as beside:
        beside.write_text("new")
        assert path.read_text() == "old"
        assert beside.parent == tmp_path  # renaming is atomic within one file system only
    assert content(tmp_path) == {"a.txt": "new"}


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError, SystemExit, GeneratorExit])
@pytest.mark.parametrize("existed", [True, False])
def test_whatever_stops_the_block_leaves_the_old_file(tmp_path: Path, stop: type[BaseException], existed: bool) -> None:
    path = tmp_path / "a.txt"
    if existed:
        path.write_text("old")
    with pytest.raises(stop):
        write_half(path, stop())
    assert content(tmp_path) == ({"a.txt": "old"} if existed else {})


def test_a_refusal_within_the_block_reads_as_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(OutputError) as caught:
        write_half(path, OSError(errno.ENOSPC, "No space left on device"))
    assert str(caught.value) == f"cannot write {path}: the disk is full"
    assert caught.value.errno == errno.ENOSPC
    assert content(tmp_path) == {"a.txt": "old"}


def test_a_file_that_the_system_cuts_short_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with largest_file(1000), pytest.raises(OutputError, match=r"cannot write .*a\.txt: "), replacing(path) as beside:
        beside.write_text("x" * 5000)
    assert content(tmp_path) == {"a.txt": "old"}


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(OutputError) as caught, replacing(tmp_path / "file" / "a.txt") as beside:
        beside.write_text("new")
    assert str(caught.value) == f"cannot write {tmp_path}/file/a.txt: {tmp_path}/file is a file, not a folder"
    with pytest.raises(OutputError, match="a part of the path is a file"), replacing(tmp_path / "file" / "b" / "a.txt"):
        pass
    assert content(tmp_path) == {"file": "old"}


def test_a_folder_in_the_way_of_a_file_stays(tmp_path: Path) -> None:
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(OutputError, match=r"a\.txt: it is a folder"), replacing(tmp_path / "a.txt") as beside:
        beside.write_text("new")
    assert content(tmp_path) == {}
    assert (tmp_path / "a.txt").is_dir()


def test_an_overlong_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="the name is too long"), replacing(tmp_path / ("a" * 300)) as beside:
        beside.write_text("new")


def test_replacing_folder_swaps_the_whole_folder(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "model"
    for number in (1, 2):
        with replacing_folder(target) as beside:
            (beside / "sub").mkdir()
            (beside / "sub" / f"{number}.txt").write_text("new")
        assert content(tmp_path) == {f"deep/model/sub/{number}.txt": "new"}


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
def test_whatever_stops_the_block_leaves_the_old_folder(tmp_path: Path, stop: type[BaseException]) -> None:
    target = tmp_path / "model"
    target.mkdir()
    (target / "a.txt").write_text("old")
    with pytest.raises(stop):
        write_half_folder(target, stop())
    assert content(tmp_path) == {"model/a.txt": "old"}
    assert list(tmp_path.iterdir()) == [target]


def test_a_refused_folder_reads_as_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(OutputError, match=r"cannot write .*/model: .*file is a file"):
        write_half_folder(tmp_path / "file" / "model", RuntimeError())
    with pytest.raises(OutputError, match=r"cannot write .*/file: "), replacing_folder(tmp_path / "file") as beside:
        (beside / "a.txt").write_text("new")
    assert content(tmp_path) == {"file": "old"}
    assert len(list(tmp_path.iterdir())) == 1


def test_write_files_writes_all(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    (tmp_path / "other").write_text("kept")
    write_files(tmp_path, {"a": b"1", "b": b"2"})
    assert content(tmp_path) == {"a": "1", "b": "2", "other": "kept"}


@pytest.mark.parametrize("bad", ["a", "b", "c"])
def test_write_files_changes_nothing_if_one_is_refused(tmp_path: Path, bad: str) -> None:
    (tmp_path / "a").write_text("old")
    files = {name: b"x" * (5000 if name == bad else 5) for name in "abc"}
    with largest_file(1000), pytest.raises(OutputError, match=f"/{bad}: "):
        write_files(tmp_path, files)
    assert content(tmp_path) == {"a": "old"}


@pytest.mark.parametrize("bad", ["a", "b", "c"])
def test_write_files_changes_nothing_if_a_folder_is_in_the_way(tmp_path: Path, bad: str) -> None:
    for name in "abc":
        if name == bad:
            (tmp_path / name).mkdir()
        else:
            (tmp_path / name).write_text("old")
    with pytest.raises(OutputError, match=f"/{bad}: it is a folder"):
        write_files(tmp_path, dict.fromkeys("abc", b"new"))
    assert content(tmp_path) == {name: "old" for name in "abc" if name != bad}


def test_write_files_changes_nothing_if_the_content_is_unusable(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(TypeError):
        write_files(tmp_path, {"a": b"new", "b": "text"})  # type: ignore[dict-item]
    assert content(tmp_path) == {"a": "old"}


def test_a_folder_behind_a_link_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with replacing_folder(tmp_path / "link") as beside:
        (beside / "a.txt").write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert content(tmp_path / "real") == {"a.txt": "new"}


def test_a_file_behind_a_link_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "link.txt").symlink_to("real.txt")
    with replacing(tmp_path / "link.txt") as beside:
        beside.write_text("new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


@pytest.mark.parametrize("refused", [errno.EBUSY, errno.EACCES])
def test_what_a_mounted_folder_holds_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: int) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "old.txt").write_text("old")
    rename = os.rename

    def as_of_a_mount(source: Path, place: Path) -> None:
        if source == target:
            raise OSError(refused, os.strerror(refused))
        rename(source, place)

    monkeypatch.setattr(os, "rename", as_of_a_mount)
    with replacing_folder(target) as beside:
        (beside / "a.txt").write_text("new")
    assert content(tmp_path) == {"out/a.txt": "new"}


@pytest.mark.skipif(shutil.which("unshare") is None or os.geteuid() != 0, reason="needs a mount of its own")
def test_a_mounted_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "mnt").mkdir()
    code = (
        "from perceptio.files import replacing_folder\n"
        "with replacing_folder('mnt') as beside: (beside / 'a.txt').write_text('new')\n"
        "import os; assert os.listdir('mnt') == ['a.txt'], os.listdir('mnt')"
    )
    script = f'mount -t tmpfs none mnt && "{sys.executable}" -c "{code}"'
    done = subprocess.run(["unshare", "-m", "bash", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    if "unshare failed" in done.stderr or "permission denied" in done.stderr:
        pytest.skip("this machine allows no mounts")
    assert done.returncode == 0, done.stderr
    assert content(tmp_path) == {}


def test_a_device_is_never_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputError, match="pipe: it is a pipe or a device"), replacing(tmp_path / "pipe"):
        raise AssertionError("nothing should be written")


def test_a_name_that_is_almost_too_long_can_be_written(tmp_path: Path) -> None:
    with replacing(tmp_path / ("ä" * 120)) as beside:
        beside.write_text("new")
    assert content(tmp_path) == {"ä" * 120: "new"}


def test_parts_of_dead_processes_are_swept_and_those_of_others_stay(tmp_path: Path) -> None:
    code = (
        "import os\nfrom perceptio.files import replacing, replacing_folder\n"
        "with replacing('a.txt') as file, replacing_folder('b') as folder:\n"
        "    file.write_text('half'); (folder / 'x').write_text('half'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False)
    assert len(content(tmp_path)) == 2
    with replacing(tmp_path / "a.txt") as mine:
        mine.write_text("mine")
        with replacing(tmp_path / "a.txt") as other:
            other.write_text("other")
        assert mine.read_text() == "mine"
    with replacing_folder(tmp_path / "b"):
        pass
    assert content(tmp_path) == {"a.txt": "mine"}


@pytest.mark.parametrize("name", ["file/out", "file"])
def test_a_folder_in_whose_way_a_file_stands_is_refused_before_the_work(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(OutputError, match="file is a file, not a folder"):
        check_writable_folder(tmp_path / name)
    assert content(tmp_path) == {"file": "old"}


def test_a_file_in_whose_way_a_folder_stands_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="folder: it is a folder"):
        check_writable(tmp_path / "folder")
    check_writable(tmp_path / "folder" / "new" / "a.jsonl")
    check_writable_folder(tmp_path / "folder" / "new")
    assert list(tmp_path.rglob("*")) == [tmp_path / "folder"]


def test_a_name_with_nul_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="NUL"), replacing(tmp_path / "a\0b"):
        pass
