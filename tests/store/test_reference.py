"""docs/trace-format.md says what the code does."""

from __future__ import annotations

from tests.support import ROOT
from ttd.store.reference import PAGE, render
from ttd.store.schema import metadata


def test_the_page_is_up_to_date() -> None:
    written = (ROOT / PAGE).read_text(encoding="utf-8")
    assert written == render(), "run: python -m ttd.store.reference --write"


def test_every_table_and_column_is_described() -> None:
    for table in metadata.tables.values():
        assert table.comment, table.name
        for column in table.columns:
            assert column.comment or column.foreign_keys, f"{table.name}.{column.name}"
