"""What unit tests of several folders share."""

import pytest
from huggingface_hub import constants

from ..hub_double import HubDouble


@pytest.fixture
def double(monkeypatch):
    """A Hub that is online, and that `huggingface_hub` talks to."""
    hub = HubDouble()
    hub.start()
    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    online = {"ENDPOINT": hub.url, "HUGGINGFACE_CO_URL_TEMPLATE": template, "HF_HUB_OFFLINE": False, "HF_HUB_DISABLE_XET": True}
    for name, value in online.items():
        monkeypatch.setattr(constants, name, value)
    yield hub
    hub.stop()
