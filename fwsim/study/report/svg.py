"""SVG as data: only shapes, texts and pixels of a figure are copied; nothing active and nothing external.

Anything that is not on the lists below is left out: scripts, event handlers, foreign objects, animations, links, and
all addresses except places in the same figure (`#name`) and pixels within the file (`data:image/png`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from xml.parsers import expat

from fwsim.errors import RecordingError

SVG = "http://www.w3.org/2000/svg"
HREFS = ("href", "http://www.w3.org/1999/xlink href")


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


ELEMENTS = _names(
    """svg g defs symbol use path rect line circle ellipse polyline polygon text tspan image clipPath mask marker
    pattern linearGradient radialGradient stop style"""
)
TEXTS = ("text", "tspan", "style")
PROPERTIES = _names(
    """fill fill-opacity fill-rule stroke stroke-width stroke-opacity stroke-dasharray stroke-dashoffset stroke-linecap
    stroke-linejoin stroke-miterlimit opacity color display visibility overflow clip-path clip-rule mask marker-start
    marker-mid marker-end stop-color stop-opacity font font-family font-size font-style font-weight font-variant
    font-stretch text-anchor dominant-baseline alignment-baseline baseline-shift letter-spacing word-spacing
    text-decoration text-rendering shape-rendering image-rendering vector-effect paint-order writing-mode"""
)
ATTRIBUTES = PROPERTIES | _names(
    """d points x y x1 y1 x2 y2 cx cy r rx ry dx dy fx fy width height viewBox preserveAspectRatio transform rotate
    offset gradientUnits gradientTransform spreadMethod patternUnits patternContentUnits patternTransform clipPathUnits
    maskUnits maskContentUnits markerUnits markerWidth markerHeight orient refX refY textLength lengthAdjust
    pathLength"""
)
PIXELS = re.compile(r"data:image/(png|jpeg|gif);base64,[A-Za-z0-9+/=\s]*\Z")
NAME = re.compile(r"[\w.:-]+\Z")
LOCAL = re.compile(r"""url\(\s*["']?#([\w.:-]+)["']?\s*\)""")
STRANGE = re.compile(r"[<>\\@:;{}]|url\s*\(|expression\s*\(|/\*", re.I)
RULE = re.compile(r"([^{}]*)\{([^{}]*)\}")
SELECTORS = re.compile(r"[\w\s.,#*>-]+\Z")


class Cleaned:
    """A figure's elements as HTML, and the attributes of its root.

    Parameters
    ----------
    content
        The file.
    prefix
        Prefix of its identifiers, since several figures of a page may have the same ones.

    Raises
    ------
    RecordingError
        It is no SVG, or declares entities.
    """

    def __init__(self, content: bytes, prefix: str) -> None:
        self.prefix = prefix
        self.root: dict[str, str] = {}
        self._open: list[str | None] = []  # `None`: an element that is left out with its content
        self._parts: list[str] = []
        self._style: list[str] = []
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler, parser.EntityDeclHandler = self._text, self._entity
        try:
            parser.Parse(content, True)
        except (
            expat.ExpatError,
            ValueError,
            LookupError,
            TypeError,
        ) as error:  # LookupError: unknown encodings
            raise RecordingError(f"it is no SVG ({error})") from None

    @property
    def inside(self) -> str:
        """All elements within the root."""
        return "".join(self._parts)

    def _start(self, tag: str, attributes: Mapping[str, str]) -> None:
        space, _, name = tag.rpartition(" ")
        if not self._open and (name != "svg" or space not in (SVG, "")):
            raise RecordingError(f"its first element is {name!r}, not svg")
        if space not in (SVG, "") or name not in ELEMENTS or (self._open and self._open[-1] is None):
            self._open.append(None)
            return
        kept = self._attributes(name, attributes)
        if not self._open:
            self.root = kept
        elif name != "style":
            self._parts.append(f"<{name}{written(kept)}>")
        self._open.append(name)

    def _end(self, tag: str) -> None:
        name = self._open.pop()
        if name == "style":
            rules = self._rules("".join(self._style))
            self._style = []
            self._parts.append(f"<style>{escape(rules, quote=False)}</style>" if rules else "")
        elif name is not None and self._open:
            self._parts.append(f"</{name}>")

    def _text(self, text: str) -> None:
        if self._open[-1] == "style":
            self._style.append(text)
        elif self._open[-1] in TEXTS:
            self._parts.append(escape(text, quote=False))

    def _entity(self, *_: object) -> None:
        raise RecordingError("it declares entities")

    def _attributes(self, element: str, given: Mapping[str, str]) -> dict[str, str]:
        kept = {}
        for name, value in given.items():
            if name == "id" and NAME.match(value):
                kept["id"] = self.prefix + value
            elif name == "class" and all(map(NAME.match, value.split())):
                kept["class"] = " ".join(self.prefix + each for each in value.split())
            elif name == "style":
                kept["style"] = self._declarations(value)
            elif name in HREFS and value.startswith("#") and NAME.match(value[1:]):
                kept["href"] = f"#{self.prefix}{value[1:]}"
            elif name in HREFS and element == "image" and PIXELS.match(value):
                kept["href"] = value
            elif name in ATTRIBUTES and (safe := self._value(value)) is not None:
                kept[name] = safe
        return kept

    def _value(self, value: str) -> str | None:
        """A value whose addresses are places in this figure; `None` if it has other addresses or is invalid."""
        if STRANGE.search(LOCAL.sub("", value)):
            return None
        return LOCAL.sub(rf"url(#{self.prefix}\1)", value)

    def _declarations(self, text: str) -> str:
        kept = []
        for declaration in text.split(";"):
            name, _, value = declaration.partition(":")
            safe = self._value(value.strip())
            if name.strip() in PROPERTIES and safe:
                kept.append(f"{name.strip()}: {safe}")
        return "; ".join(kept)

    def _rules(self, text: str) -> str:
        """Rules of a style sheet, restricted to this figure."""
        kept = []
        for selectors, declarations in RULE.findall(re.sub(r"/\*.*?\*/", "", text, flags=re.S)):
            safe = self._declarations(declarations)
            if SELECTORS.match(selectors) and safe:
                named = re.sub(r"([.#])([\w-]+)", rf"\1{self.prefix}\2", selectors)
                within = ", ".join(f"#{self.prefix}svg {each.strip()}" for each in named.split(","))
                kept.append(f"{within} {{{safe}}}")
        return " ".join(kept)


def written(attributes: Mapping[str, str]) -> str:
    """Attributes in the form of a tag."""
    return "".join(f' {name}="{escape(value)}"' for name, value in attributes.items())
