"""Fetching through real sockets: a web server for single files, the Hub double for repositories."""

import functools
import hashlib
import http.server
import threading
from pathlib import Path

import pytest
from unified_audiocaps.dataset_scripts.errors import ChecksumError, FetchError, InputError, OfflineError
from unified_audiocaps.dataset_scripts.fetch import fetch
from unified_audiocaps.dataset_scripts.source import source
from unified_audiocaps.dataset_scripts.sources.audiocaps import AudioCaps
from unified_audiocaps.dataset_scripts.upstream.remote import RemoteFile

CONTENT = b"audiocap_id,youtube_id,start_time,caption\n1,abcdefghijk,30,rain on a roof\n"


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; names in `cut` are cut in the middle, once."""

    cut: set[str] = set()
    asked: list[str] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path in self.cut:
            self.cut.remove(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT[:20])
            self.close_connection = True
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site(tmp_path, monkeypatch):
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    Handler.cut, Handler.asked = set(), []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def audiocaps(url: str, sha256: str | None = None) -> AudioCaps:
    one = AudioCaps()
    one.remote = (RemoteFile(f"{url}/test.csv", "test.csv", sha256),)
    return one


def test_files_are_fetched_once(site, tmp_path):
    folder, url = site
    (folder / "test.csv").write_bytes(CONTENT)
    one = audiocaps(url, hashlib.sha256(CONTENT).hexdigest())
    first = fetch(one, tmp_path / "raw")
    assert (first.fetched, first.reused) == (["test.csv"], [])
    assert (tmp_path / "raw/test.csv").read_bytes() == CONTENT
    again = fetch(one, tmp_path / "raw")
    assert (again.fetched, again.reused) == ([], ["test.csv"])
    assert Handler.asked == ["/test.csv"]
    assert one.locate(tmp_path / "raw").unknown == ()


def test_a_file_damaged_on_disk_is_fetched_again(site, tmp_path):
    folder, url = site
    (folder / "test.csv").write_bytes(CONTENT)
    fetch(audiocaps(url), tmp_path / "raw")
    (tmp_path / "raw/test.csv").write_bytes(b"damaged")
    assert fetch(audiocaps(url), tmp_path / "raw").fetched == ["test.csv"]
    assert (tmp_path / "raw/test.csv").read_bytes() == CONTENT


def test_another_file_than_the_published_one_is_refused_and_not_kept(site, tmp_path):
    folder, url = site
    (folder / "test.csv").write_bytes(b"something else")
    with pytest.raises(ChecksumError, match=r"expected 0000.*nothing was kept"):
        fetch(audiocaps(url, "0" * 64), tmp_path / "raw")
    assert [path.name for path in (tmp_path / "raw").iterdir() if not path.name.startswith(".")] == []


def test_a_cut_connection_keeps_nothing_half_and_the_next_call_succeeds(site, tmp_path):
    folder, url = site
    (folder / "test.csv").write_bytes(CONTENT)
    Handler.cut = {"/test.csv"}
    with pytest.raises(FetchError, match=r"test\.csv could not be fetched .*--raw DIR"):
        fetch(audiocaps(url), tmp_path / "raw")
    assert not (tmp_path / "raw/test.csv").exists()
    assert fetch(audiocaps(url), tmp_path / "raw").fetched == ["test.csv"]


def test_a_missing_file_and_a_dead_server_say_what_to_do(site, tmp_path):
    _, url = site
    for address in (url, "http://127.0.0.1:9"):
        with pytest.raises(FetchError, match=r"could not be fetched .*uac build audiocaps --raw DIR"):
            fetch(audiocaps(address), tmp_path / "raw")


def test_offline_names_the_file_and_the_way_by_hand(tmp_path):
    with pytest.raises(OfflineError, match=r"train\.csv is not in .*HF_HUB_OFFLINE is set.*github\.com/cdjkim/audiocaps"):
        fetch(AudioCaps(), tmp_path / "raw")


@pytest.mark.parametrize(
    ("name", "told"), [("sample", "needs no files"), ("laion_audio_630k", "to be had by hand"), ("fsd50k", "to be had by hand")]
)
def test_sources_without_a_place_to_fetch_from(name, told, tmp_path):
    with pytest.raises(InputError, match=told):
        fetch(source(name), tmp_path)


@pytest.mark.real
@pytest.mark.parametrize(("config", "folder"), [("audiocaps", "v1"), ("audiocaps_v2", "v2")])
def test_pinned_checksums_are_those_of_the_published_files(config: str, folder: str, real_dir: Path):
    pinned = {file.name.split("/")[-1]: file.sha256 for file in source(config).remote if file.sha256}
    published = {name: hashlib.sha256((real_dir / "audiocaps" / folder / name).read_bytes()).hexdigest() for name in pinned}
    assert pinned == published and len(pinned) == 2
