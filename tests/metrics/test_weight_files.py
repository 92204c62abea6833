"""Published weights: found, checked and fetched, from a real HTTP server on this machine."""

import hashlib
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from musedance.errors import InputError
from musedance.metrics.weight_files import WEIGHT_FILES, find_weights, how_to_get, sha256_of, weights_folder

CONTENT = b"weights " * 400_000  # several pieces


class Server:
    """Gives `content` at any path, or a status and nothing; breaks off after `limit` bytes."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.content, self.status, self.limit = CONTENT, 200, len(CONTENT)
        self.paths: list[str] = []


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.paths.append(self.path)
            self.send_response(told.status)
            self.send_header("Content-Length", str(len(told.content)))
            self.end_headers()
            self.wfile.write(told.content[: told.limit])

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told = Server(f"http://127.0.0.1:{http.server_port}")
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    yield told
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture
def published(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The server publishes what `lpips_alex` stands for."""
    known = WEIGHT_FILES["lpips_alex"]
    digest = hashlib.sha256(CONTENT).hexdigest()
    monkeypatch.setitem(WEIGHT_FILES, "lpips_alex", replace(known, url=f"{server.url}/alex.pth", sha256=digest))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return server


FILE = WEIGHT_FILES["lpips_alex"].file_name


def test_the_table():
    assert WEIGHT_FILES.keys() == {"lpips_alex", "lpips_vgg", "i3d", "wav2clip"}
    for known in WEIGHT_FILES.values():
        assert (known.url is None) == (known.sha256 is None)  # nothing is fetched that cannot be checked
        assert known.url is None or urlsplit(known.url).scheme == "https"
        assert known.url is None or known.url.endswith("/" + known.file_name)
        assert known.sha256 is None or re.fullmatch("[0-9a-f]{64}", known.sha256)
        # torchvision's names end in the digest's first digits
        digits = re.search(r"-([0-9a-f]{8})\.pth$", known.file_name)
        assert digits is None or known.sha256.startswith(digits[1])
    assert "-" in WEIGHT_FILES["lpips_alex"].file_name and "-" in WEIGHT_FILES["lpips_vgg"].file_name


def test_nothing_is_fetched_unless_asked(published, tmp_path):
    assert find_weights("lpips_alex", tmp_path) is None
    assert published.paths == [] and list(tmp_path.iterdir()) == []


def test_fetched_once(published, tmp_path):
    folder = tmp_path / "new" / "weights"
    for _ in range(2):
        path = find_weights("lpips_alex", folder, download=True)
        assert path == folder / FILE and path.read_bytes() == CONTENT
    assert published.paths == ["/alex.pth"]
    assert find_weights("lpips_alex", folder) == path
    assert list(folder.iterdir()) == [path]


@pytest.mark.parametrize("limit", [0, 1_000_000])
def test_a_download_that_breaks_off_leaves_nothing(limit, published, tmp_path):
    published.limit = limit
    with pytest.raises(InputError, match="by hand") as told:
        find_weights("lpips_alex", tmp_path, download=True)
    assert published.url in str(told.value) and str(tmp_path / FILE) in str(told.value)
    assert list(tmp_path.iterdir()) == []
    published.limit = len(CONTENT)
    assert find_weights("lpips_alex", tmp_path, download=True) is not None


def test_other_content_is_refused(published, tmp_path):
    published.content = b"x" + CONTENT[1:]
    with pytest.raises(InputError, match=hashlib.sha256(published.content).hexdigest()) as told:
        find_weights("lpips_alex", tmp_path, download=True)
    assert hashlib.sha256(CONTENT).hexdigest() in str(told.value)
    assert list(tmp_path.iterdir()) == []


def test_no_answer(published, tmp_path):
    published.status = 404
    with pytest.raises(InputError, match="404"):
        find_weights("lpips_alex", tmp_path, download=True)
    known = WEIGHT_FILES["lpips_alex"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(WEIGHT_FILES, "lpips_alex", replace(known, url="http://127.0.0.1:9/alex.pth"))
        with pytest.raises(InputError, match="cannot download"):
            find_weights("lpips_alex", tmp_path, download=True)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_refused_and_kept(published, tmp_path):
    (tmp_path / FILE).write_bytes(CONTENT[:-1])
    for download in (False, True):
        with pytest.raises(InputError, match="remove it") as told:
            find_weights("lpips_alex", tmp_path, download=download)
        for digest in (hashlib.sha256(content).hexdigest() for content in (CONTENT, CONTENT[:-1])):
            assert digest in str(told.value)
    assert published.paths == [] and (tmp_path / FILE).read_bytes() == CONTENT[:-1]


def test_without_a_published_digest_a_file_is_taken_and_none_is_fetched(tmp_path):
    assert find_weights("wav2clip", tmp_path, download=True) is None
    (tmp_path / "Wav2CLIP.pt").write_bytes(b"anything")
    assert find_weights("wav2clip", tmp_path) == tmp_path / "Wav2CLIP.pt"


def test_where_weights_are_looked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MUSEDANCE_WEIGHTS", raising=False)
    assert weights_folder() == tmp_path / "home" / ".cache" / "musedance" / "weights"
    monkeypatch.setenv("MUSEDANCE_WEIGHTS", str(tmp_path / "own"))
    assert weights_folder() == tmp_path / "own"
    assert weights_folder(tmp_path / "given") == tmp_path / "given"
    assert weights_folder(Path("~/there")) == tmp_path / "home" / "there"
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "Wav2CLIP.pt").write_bytes(b"anything")
    assert find_weights("wav2clip") == tmp_path / "own" / "Wav2CLIP.pt"


@pytest.mark.parametrize("name", WEIGHT_FILES)
def test_how_to_get_says_what_from_where_to_where(name):
    told, known = how_to_get(name), WEIGHT_FILES[name]
    for part in (known.file_name, known.licence, "https://", "MUSEDANCE_WEIGHTS"):
        assert part in told
    assert "\n" not in told and told.endswith(".")


def test_digest_of_a_file(tmp_path):
    """FIPS 180-2's example, and more than one block."""
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    (tmp_path / "long").write_bytes(CONTENT)
    assert sha256_of(tmp_path / "long") == hashlib.sha256(CONTENT).hexdigest()
