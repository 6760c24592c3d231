"""A page as a browser sees it: a tree of tags with their attributes and texts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "source", "img", "br", "link", "input"}
ADDRESSES = ("src", "href", "srcset", "action", "xlink:href", "poster", "data")


@dataclass
class Node:
    tag: str
    attributes: dict[str, str | None] = field(default_factory=dict)
    children: list[Node | str] = field(default_factory=list)

    def nodes(self) -> Iterator[Node]:
        yield self
        for child in self.children:
            if isinstance(child, Node):
                yield from child.nodes()

    def all(self, tag: str = "", kind: str = "") -> list[Node]:
        """Those below of a tag, and of a class."""
        return [
            node
            for node in self.nodes()
            if tag in ("", node.tag) and kind in ("", *(node.attributes.get("class") or "").split())
        ]

    def one(self, tag: str = "", kind: str = "") -> Node:
        (node,) = self.all(tag, kind)
        return node

    def called(self, name: str) -> Node:
        """The one with this id."""
        (node,) = [node for node in self.nodes() if node.attributes.get("id") == name]
        return node

    @property
    def texts(self) -> list[str]:
        """What is to be read, piece by piece; not what looks and acts."""
        found = []
        for child in self.children:
            if isinstance(child, Node):
                found += child.texts if child.tag not in ("style", "script") else []
            elif child.strip():
                found.append(child.strip())
        return found

    @property
    def text(self) -> str:
        return " ".join(self.texts)

    @property
    def addresses(self) -> list[str]:
        """All that a browser might ask for or go to."""
        return [value or "" for node in self.nodes() for name, value in node.attributes.items() if name in ADDRESSES]


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open = [Node("page")]

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), f"an attribute twice in {tag}"
        node = Node(tag, dict(attrs))
        self.open[-1].children.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_startendtag(self, tag, attrs):
        self.open[-1].children.append(Node(tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop().tag == tag, f"</{tag}> closes another"

    def handle_data(self, data):
        self.open[-1].children.append(data)


def parsed(text: str) -> Node:
    """The tree of a page; every tag in it is closed in order."""
    parser = _Parser()
    parser.feed(text)
    parser.close()
    assert len(parser.open) == 1, f"not closed: {[node.tag for node in parser.open[1:]]}"
    return parser.open[0]


def rows(table: Node) -> list[list[str]]:
    """The cells of a table, line by line, the headers first."""
    return [[cell.text for cell in row.children if isinstance(cell, Node)] for row in table.all("tr")]
