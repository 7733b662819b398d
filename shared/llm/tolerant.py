"""
A reader of almost-JSON, for texts whose meaning is certain although their spelling is not JSON's.

Accepts on top of JSON: trailing commas, comments, unquoted keys, single and curly quotes, full-width punctuation,
invisible and foreign white space, raw line breaks inside strings, and Python's True, False and None. Guesses nothing:
no missing comma, quote or bracket is supplied, and every number is spelled as JSON spells it.
"""

import re
from collections.abc import Callable
from typing import Any

OPEN_OBJECT, CLOSE_OBJECT = "{｛", "}｝"
OPEN_ARRAY, CLOSE_ARRAY = "[［", "]］"
COMMA, COLON = ",，", ":："
QUOTES = {'"': '"', "'": "'", "“": "”", "”": "”", "‘": "’", "’": "’"}
ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "/": "/", "\\": "\\"}
WORDS = {"true": True, "True": True, "false": False, "False": False, "null": None, "None": None}

NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|NaN|-?Infinity")
WORD = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
BLANK = re.compile(r"(?:[\s\u200b\u200c\u200d\u2060\ufeff]|//[^\n]*|/\*.{0,2000}?\*/)*", re.DOTALL)

Pairs = list[tuple[str, Any]]


class TolerantReader:
    """Reads one value at a place in a text."""

    def __init__(self, *, number: Callable[[str], Any], members: Callable[[Pairs], Any]) -> None:
        """*number* makes a value of a number's text, *members* one of an object's members."""
        self._number = number
        self._members = members

    def read(self, text: str, start: int) -> tuple[Any, int]:
        """Return the value at *start* and the place after it. Raises ValueError."""
        if _at(text, start, OPEN_OBJECT):
            return self._object(text, start + 1)
        if _at(text, start, OPEN_ARRAY):
            return self._array(text, start + 1)
        if text[start : start + 1] in QUOTES:
            return _string(text, start)
        number = NUMBER.match(text, start)
        if number:
            return self._number(number[0]), number.end()
        word = WORD.match(text, start)
        if word and word[0] in WORDS:
            return WORDS[word[0]], word.end()
        raise ValueError(f"no value at {_excerpt(text, start)}")

    def _object(self, text: str, place: int) -> tuple[Any, int]:
        members: Pairs = []
        place = _skip(text, place)
        while not _at(text, place, CLOSE_OBJECT):
            key, place = _key(text, place)
            place = _skip(text, _expect(text, _skip(text, place), COLON))
            value, place = self.read(text, place)
            members.append((key, value))
            place = _after_member(text, place, CLOSE_OBJECT)
        return self._members(members), place + 1

    def _array(self, text: str, place: int) -> tuple[list[Any], int]:
        values = []
        place = _skip(text, place)
        while not _at(text, place, CLOSE_ARRAY):
            value, place = self.read(text, place)
            values.append(value)
            place = _after_member(text, place, CLOSE_ARRAY)
        return values, place + 1


def _after_member(text: str, place: int, close: str) -> int:
    """Return the place of the next member or of the closing bracket; a comma may stand before either."""
    place = _skip(text, place)
    return place if _at(text, place, close) else _skip(text, _expect(text, place, COMMA))


def _at(text: str, place: int, wanted: str) -> bool:
    return place < len(text) and text[place] in wanted


def _skip(text: str, place: int) -> int:
    blank = BLANK.match(text, place)
    return blank.end() if blank else place


def _expect(text: str, place: int, wanted: str) -> int:
    if not _at(text, place, wanted):
        raise ValueError(f"{wanted[0]!r} expected at {_excerpt(text, place)}")
    return place + 1


def _key(text: str, place: int) -> tuple[str, int]:
    if text[place : place + 1] in QUOTES:
        return _string(text, place)
    word = WORD.match(text, place)
    if word is None:
        raise ValueError(f"no key at {_excerpt(text, place)}")
    return word[0], word.end()


def _string(text: str, start: int) -> tuple[str, int]:
    close = QUOTES[text[start]]
    parts: list[str] = []
    place = start + 1
    while place < len(text):
        char = text[place]
        if char == close:
            return "".join(parts), place + 1
        part, place = _escape(text, place + 1) if char == "\\" else (char, place + 1)
        parts.append(part)
    raise ValueError("a string does not end")


def _escape(text: str, place: int) -> tuple[str, int]:
    """Return the character that the escape at *place*, after its backslash, stands for, and the place after it."""
    char = text[place : place + 1]
    if char in ESCAPES:
        return ESCAPES[char], place + 1
    if char in QUOTES:
        return char, place + 1
    code = text[place + 1 : place + 5]
    if char == "u" and re.fullmatch(r"[0-9a-fA-F]{4}", code):
        return chr(int(code, 16)), place + 5
    raise ValueError(f"no escape: {_excerpt(text, place - 1)}")


def _excerpt(text: str, place: int) -> str:
    return repr(text[place : place + 20]) if place < len(text) else "the end"
