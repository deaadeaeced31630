"""Pages over a hub, asked by people of all sorts; and what stands in them."""

import re
from html import unescape

from fastapi.testclient import TestClient
from unified_audiocaps.dataset_scripts.settings import Settings
from unified_audiocaps.leaderboard.hub import Hub
from unified_audiocaps.space.app import create_app
from unified_audiocaps.space.sign_in import session_cookie

SITE = "https://hub.example.org"
SECRET = "a secret"
PEOPLE = ("nobody", "anna", "berta", "chief")  # anna owns things, the chief is an admin
EVIL = "<img src=x onerror=alert(1)>"


class Visitor:
    """Asks for pages as a browser without scripts does, signed in or not.

    Args:
        hub: with `sign_in="hub"`, the secret `SECRET` and the admin `chief`.
        name: who is signed in; `nobody` for nobody.
    """

    def __init__(self, hub: Hub, name: str = "nobody") -> None:
        cookies = {} if name == "nobody" else {"session": session_cookie(Settings(oauth_secret=SECRET), name, 9e9)}
        self.client = TestClient(
            create_app(hub), base_url=SITE, raise_server_exceptions=False, follow_redirects=False, cookies=cookies
        )

    def get(self, path: str, status: int = 200) -> str:
        """Returns a page."""
        answer = self.client.get(path)
        assert answer.status_code == status, (path, answer.status_code, text_of(answer.text))
        return answer.text

    def post(self, path: str, status: int = 303, headers: dict | None = None, files=None, **form: str):
        """Returns the answer to a form."""
        sent = {"Origin": SITE, "Sec-Fetch-Site": "same-origin"} if headers is None else headers
        answer = self.client.post(path, data=form, files=files, headers=sent)
        assert answer.status_code == status, (path, answer.status_code, text_of(answer.text))
        return answer


def text_of(page: str) -> str:
    """Returns the words of a page's content, as people read them."""
    main = re.search(r"<main.*?</main>", page, re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", main.group(0) if main else page)).split())


def settings_of_site() -> dict[str, str]:
    """Returns the settings of a hub with accounts."""
    return {"sign_in": "hub", "admins": "chief", "oauth_secret": SECRET}
