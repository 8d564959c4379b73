"""`Row`: one image of a data set, and where its bytes are."""

from typing import Literal, NamedTuple, TypeAlias

__all__ = ["Kind", "Row"]

Kind: TypeAlias = Literal["file", "range", "member", "stream", "cell"]


class Row(NamedTuple):
    """One image of a data set.

    Attributes
    ----------
    path : str
        What the image is called in the output: as short as is clear, with ``/`` between its parts.
    container : str
        The file that holds it: an absolute path, or an address that fsspec knows.
    kind : {"file", "range", "member", "stream", "cell"}
        How the bytes lie there: they are all of it; a piece of it (a tar archive); a member of a
        zip archive; a piece of what a compressed archive unpacks to; a cell of a Parquet table.
    offset : int
        Where the piece begins, in bytes; or the number of the member or of the table's row. 0 of a
        file.
    size : int
        Bytes of the image; -1 where that is not known before it is read.
    modified : int
        When the container changed last, in nanoseconds since 1970; 0 where that is not known.

    Examples
    --------
    >>> Row("cats/1.jpg", "/photos/cats/1.jpg").kind
    'file'
    """

    path: str
    container: str
    kind: Kind = "file"
    offset: int = 0
    size: int = -1
    modified: int = 0
