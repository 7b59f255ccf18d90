"""Tables written by people: with commas, semicolons or tabs, blanks, and names such as NA."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fwsim.errors import ConfigError, short
from fwsim.paths import plain_text

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = (",", ";", "\t")
MISSING = ("", "NA", "N/A", "NaN", "nan", "NULL", "null", "None")  # texts for a missing number
DIGITS = 300  # largest number of digits in a table; floats cannot represent more
MOST = 2**31  # bytes


def read_csv(path: str | Path, is_number: Callable[[str], bool]) -> pd.DataFrame:
    """Read a table with a header; a table with semicolons may have decimal commas.

    Parameters
    ----------
    path
        Path of a text in UTF-8.
    is_number
        Whether a column of this name contains numbers. All others contain names, unchanged: NA is a name, and
        only an empty cell is missing. Names that are all whole numbers become numbers.

    Returns
    -------
    pandas.DataFrame
        If a cell of a column of numbers is not a number, the column remains text, so that the caller can name the cell.

    Raises
    ------
    ConfigError
        It is no plain file, no text, or no table; or two columns have the same name.
    """
    import pandas as pd

    text = plain_text(path, "table", most=MOST)
    header = text.lstrip("\n\r").partition("\n")[0]
    separator = max(SEPARATORS, key=header.count)
    try:
        cells = pd.read_csv(
            io.StringIO(text),
            sep=separator,
            header=None,
            dtype=str,
            keep_default_na=False,
            skipinitialspace=True,
        )
    except (ValueError, OverflowError) as error:  # pandas' parsing errors are ValueErrors
        raise ConfigError(
            f"{path} cannot be read as a table: {short(error)}; give a CSV file with a header"
        ) from None
    names = [str(name).strip() for name in cells.iloc[0].fillna("")]
    twice = {name for name in names if name and names.count(name) > 1}
    if twice:
        raise ConfigError(f"{path} has two columns {short(min(twice))}; leave one of them out")
    table = cells.iloc[1:].reset_index(drop=True).fillna("")
    table.columns = pd.Index(names)
    for name in filter(None, names):
        texts = table[name].str.strip()
        if is_number(name):
            table[name] = as_numbers(texts.str.replace(",", ".") if separator == ";" else texts)
        else:
            table[name] = _as_names(texts)
    return table


def as_numbers(texts: pd.Series) -> pd.Series:
    """Numbers of a column of texts, NaN where missing; the texts if one of them is no number."""
    known = texts.where(~texts.isin(MISSING))
    numbers = numeric(known)
    return known if (numbers.isna() & known.notna()).any() else numbers.astype(float)


def numeric(column: pd.Series) -> pd.Series:
    """Numbers of a column of any type, NaN where a cell is not a number."""
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(
        column
    ):  # more digits than a float can have: pandas says inf, or fails
        column = column.where(column.astype(str).str.len() <= DIGITS)
    return pd.to_numeric(column, errors="coerce")


def _as_names(texts: pd.Series) -> pd.Series:
    import pandas as pd

    known = texts.where(texts != "")
    whole = known.dropna().str.fullmatch(r"0|-?[1-9][0-9]{0,14}")
    if len(whole) and whole.all() and not known.isna().any():
        return pd.to_numeric(known)
    return known
