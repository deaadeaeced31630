"""Pages as tests look at them: parsed, not searched as text."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

from fastapi.testclient import TestClient
from unified_audiocaps.leaderboard.hub import Hub
from unified_audiocaps.space.app import create_app

EMPTY = frozenset("area base br col embed hr img input link meta source track wbr path".split())


@dataclass
class Element:
    """A tag with its attributes and all text inside it."""

    tag: str
    attributes: dict[str, str]
    parts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join("".join(self.parts).split())

    def __getitem__(self, name: str) -> str:
        return self.attributes[name]


class Shown(HTMLParser):
    """A page; `fails` where its tags do not match."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.html, self.elements, self._open = html, list[Element](), list[Element]()
        self.feed(html)
        self.close()
        assert not self._open, f"left open: {[one.tag for one in self._open]}"

    def handle_starttag(self, tag, attrs):
        one = Element(tag, {name: value or "" for name, value in attrs})
        self.elements.append(one)
        if tag not in EMPTY:
            self._open.append(one)

    def handle_startendtag(self, tag, attrs):
        self.elements.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag):
        if tag in EMPTY:
            return
        assert self._open and self._open[-1].tag == tag, f"</{tag}> closes {self._open[-1:]}"
        self._open.pop()

    def handle_data(self, data):
        for one in self._open:
            one.parts.append(data)

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """Returns the elements of a tag that have these attributes; `class_` is one of the classes."""

        def fits(one: Element) -> bool:
            given = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
            kinds = given.pop("class", "").split()
            return set(kinds) <= set(one.attributes.get("class", "").split()) and given.items() <= one.attributes.items()

        return [one for one in self.elements if one.tag == tag and fits(one)]

    def one(self, tag: str, **attributes: str) -> Element:
        (found,) = self.all(tag, **attributes)
        return found

    @property
    def text(self) -> str:
        return self.one("main").text


def pages_of(hub: Hub) -> TestClient:
    """Returns what asks for pages and the API of a hub, as a browser on this machine does."""
    return TestClient(create_app(hub), base_url="http://localhost", raise_server_exceptions=False)


def shown(client: TestClient, address: str, status: int = 200, **params) -> Shown:
    answer = client.get(address, params=params or None, headers={"Accept": "text/html"})
    assert answer.status_code == status, answer.text[-3000:]
    assert answer.headers["content-type"].startswith("text/html")
    return Shown(answer.text)
