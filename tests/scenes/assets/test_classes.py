"""The written tables: those of the package fit together, damaged ones are refused with the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from perceptio.scenes.assets.classes import GROUPS, read_classes, read_names, read_surface_files
from perceptio.scenes.assets.skipped import AssetError


def test_the_tables_of_the_package_fit_together():
    classes = read_classes()
    names = read_names(classes)
    assert len(names) > 800
    used = {named.noun for named in names.values()}
    assert all(kind.role == "group" for noun, kind in classes.items() if noun not in used)
    assert {file.group for file in read_surface_files()} == set(GROUPS)
    assert any(named.held_out for named in names.values())
    assert any(kind.held_out for kind in classes.values())


def read_all(tables: Path) -> None:
    read_names(read_classes(tables), tables)
    read_surface_files(tables)


@pytest.mark.parametrize(
    ("table", "before", "after", "word"),
    [
        ("classes", "\tfloor\t", "\tshelf\t", "shelf"),
        ("classes", "living|street", "living|cellar", "cellar"),
        ("classes", "thing/things", "thing", "thing"),
        ("classes", "thing/things\t\t", "thing/things\tthrone\t", "throne"),
        ("classes", "\t0\n", "\tno\n", "no"),
        ("classes", "plural\t", "plurals\t", "plural"),
        ("models", "Tiny#box\tcrate", "Tiny#box\tthrone", "throne"),
        ("models", "Tiny#turned", "Tiny#box", "Tiny#box"),
        ("surfaces", "\tfloor\t", "\tcellar\t", "cellar"),
        ("surfaces", "0" * 64, "12ab", "12ab"),
    ],
)
def test_a_damaged_line_is_named(tables, table, before, after, word):
    path = tables / f"{table}.tsv"
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))
    with pytest.raises(AssetError, match=word) as caught:
        read_all(tables)
    assert f"{table}.tsv" in str(caught.value)


def test_a_missing_table_is_named(tables):
    (tables / "classes.tsv").unlink()
    with pytest.raises(AssetError, match=r"classes\.tsv"):
        read_classes(tables)
