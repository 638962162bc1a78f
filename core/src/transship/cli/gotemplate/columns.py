"""Text with tabs to aligned columns."""

from __future__ import annotations

from transship.cli.gotemplate.errors import Budget

_LEAST_WIDTH = 12
_PADDING = 2


def align(text: str, budget: Budget) -> str:
    """Turn tabs into spaces so that cells of neighbouring lines begin in the same column.

    A column reaches over consecutive lines that all have a cell there; what follows a line's last tab belongs to
    none.
    """
    lines = [line.split("\t") for line in text.split("\n")]
    budget.spend(len(lines))
    open_columns: list[list[int]] = []
    widths: list[list[list[int]]] = []
    for cells in lines:
        del open_columns[len(cells) - 1 :]
        for index, cell in enumerate(cells[:-1]):
            if index == len(open_columns):
                open_columns.append([_LEAST_WIDTH])
            open_columns[index][0] = max(open_columns[index][0], len(cell) + _PADDING)
        widths.append(list(open_columns))
        budget.spend(len(cells))
    aligned = []
    for cells, columns in zip(lines, widths, strict=True):
        budget.spend_text(sum(column[0] for column in columns))
        padded = [cell.ljust(column[0]) for cell, column in zip(cells, columns, strict=False)]
        aligned.append("".join(padded) + cells[-1])
    return "\n".join(aligned)
