"""Stands in for PyICU: `normality` imports it for transliteration, which no check of an export calls.

A transliterator can be made, and fails when it is used, so that a check that needs the library is noticed.
"""


class Transliterator:
    """A transliterator that cannot transliterate."""

    @classmethod
    def createInstance(cls, _script: str) -> "Transliterator":
        return cls()

    def transliterate(self, text: str) -> str:
        raise NotImplementedError(f"this check needs the real PyICU, to transliterate {text!r}")
