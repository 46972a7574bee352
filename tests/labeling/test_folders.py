"""Walking folders with links in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from perceptio.labeling.folders import walk_folders


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with a picture, and another beside it."""
    for name in ("photos/own/a.png", "store/deep/b.png", "store/c.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def names(tree: Path, *tops: str) -> tuple[list[str], int, list[str]]:
    files, links = walk_folders([tree / top for top in tops])
    found = sorted(path.relative_to(tree).as_posix() for _, path in files)
    return found, links.followed, [text.replace(f"{tree}/", "") for text in links.left_out]


def test_linked_folders_are_followed(tree: Path) -> None:
    (tree / "photos" / "more").symlink_to("../store")
    assert names(tree, "photos") == (["photos/more/c.png", "photos/more/deep/b.png", "photos/own/a.png"], 1, [])


def test_each_folder_is_entered_once(tree: Path) -> None:
    (tree / "photos" / "a").symlink_to("../store/deep")
    (tree / "photos" / "b").symlink_to("../store")
    (tree / "photos" / "again").symlink_to("own")
    found, followed, left_out = names(tree, "photos")
    assert found == ["photos/a/b.png", "photos/b/c.png", "photos/own/a.png"]
    assert followed == 2
    assert left_out == ["photos/again (leads back to photos/own)", "photos/b/deep (leads back to photos/a)"]


def test_circles_are_cut(tree: Path) -> None:
    (tree / "photos" / "self").symlink_to(".")
    (tree / "photos" / "own" / "up").symlink_to("../..")  # everything beside us, too
    (tree / "photos" / "out").symlink_to("../store")
    (tree / "store" / "back").symlink_to("../photos")
    (tree / "photos" / "loop").symlink_to("loop")
    found, followed, left_out = names(tree, "photos")
    assert found == ["photos/out/c.png", "photos/out/deep/b.png", "photos/own/a.png"]
    assert followed == 1
    assert left_out == [
        "photos/loop (leads nowhere)",
        "photos/out/back (leads back to photos)",
        f"photos/own/up (leads back to {tree})",
        "photos/self (leads back to photos)",
    ]


def test_links_between_sources_find_nothing_twice(tree: Path) -> None:
    (tree / "photos" / "more").symlink_to("../store")
    for order in (("photos", "store"), ("store", "photos")):
        found, followed, left_out = names(tree, *order)
        assert found == ["photos/own/a.png", "store/c.png", "store/deep/b.png"]
        assert (followed, left_out) == (0, ["photos/more (leads back to store)"])


def test_links_that_lead_nowhere_are_told(tree: Path) -> None:
    (tree / "photos" / "gone").symlink_to("../gone")
    assert names(tree, "photos") == (["photos/own/a.png"], 0, ["photos/gone (leads nowhere)"])


def test_source_may_be_a_link_and_lie_in_another(tree: Path) -> None:
    (tree / "link").symlink_to("store")
    assert names(tree, "link")[0] == ["link/c.png", "link/deep/b.png"]
    assert names(tree, "store", "store/deep")[0] == ["store/c.png", "store/deep/b.png", "store/deep/b.png"]


def test_hidden_ones_are_passed_over(tree: Path) -> None:
    (tree / "photos" / ".hidden").symlink_to("../store")
    (tree / "photos" / ".a.png").touch()
    assert names(tree, "photos") == (["photos/own/a.png"], 0, [])
