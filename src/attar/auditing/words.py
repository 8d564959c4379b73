"""Text in two languages."""

from __future__ import annotations

from typing import NamedTuple, Self

__all__ = ["Text", "both", "joined"]


class Text(NamedTuple):
    """The same in English and in 中文.

    Examples
    --------
    >>> Text("{n} images", "{n} 张图片").format(n=3)
    Text(en='3 images', zh='3 张图片')
    """

    en: str
    zh: str

    def format(self, **values: object) -> Self:
        """Return it with its gaps filled; a `Text` among the values is taken in each language."""
        return type(self)(
            *(
                text.format(
                    **{
                        name: value[at] if isinstance(value, Text) else value
                        for name, value in values.items()
                    }
                )
                for at, text in enumerate(self)
            )
        )


def both(text: str) -> Text:
    """Return what is the same in both, such as a name."""
    return Text(text, text)


def joined(*texts: Text) -> Text:
    """Return sentences one after the other: 中文 has no spaces between them."""
    return Text(" ".join(text.en for text in texts), "".join(text.zh for text in texts))
