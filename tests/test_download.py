"""Downloads from a server on this machine that misbehaves in every way that servers do."""

import hashlib
import http.server
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from attrs import evolve
from filelock import FileLock

from medsegany import _download, checkpoints, errors
from medsegany.cards import ModelCard

CONTENT = bytes(range(256)) * 4000  # about a megabyte
SHA256 = hashlib.sha256(CONTENT).hexdigest()
LENGTH = len(CONTENT)


class Server(http.server.ThreadingHTTPServer):
    """Serves one file, with the faults that a test asks for.

    Attributes:
        content: The file.
        etag: What the file's version is called.
        cuts: After how many bytes the next answers break off, one after the other.
        said_length: What Content-Length says instead of the truth.
        ranges: Whether it can go on in the middle.
        status: Codes that are answered instead, one after the other.
        location: Where everything is redirected.
        pause: Seconds between two pieces.
        asked: The headers of every request.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.etag = CONTENT, '"one"'
        self.cuts, self.status, self.asked = [], [], []
        self.said_length = self.location = None
        self.ranges, self.pause = True, 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/model.pt"

    def handle_error(self, request, client_address):
        """A client that went away is no news."""


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        server = self.server
        server.asked.append(dict(self.headers))
        if server.location:
            self.send_response(302)
            self.send_header("Location", server.location)
            self.end_headers()
            return
        if server.status:
            self.send_error(server.status.pop(0))
            return
        begin = 0
        wanted = self.headers.get("Range")
        fresh = self.headers.get("If-Range") in (None, server.etag)
        if wanted and server.ranges and fresh:
            begin = int(wanted.removeprefix("bytes=").rstrip("-"))
            if begin >= len(server.content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(server.content)}")
                self.end_headers()
                return
            self.send_response(206)
            end = len(server.content)
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{end}")
        else:
            self.send_response(200)
        rest = server.content[begin:]
        if server.said_length != "none":
            self.send_header("Content-Length", str(server.said_length or len(rest)))
        if server.etag:
            self.send_header("ETag", server.etag)
        self.end_headers()
        rest = rest[: server.cuts.pop(0)] if server.cuts else rest
        for at in range(0, len(rest), 65536):
            self.wfile.write(rest[at : at + 65536])
            time.sleep(server.pause)
        self.close_connection = True


@pytest.fixture
def server():
    with Server() as found:
        threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield found
        found.shutdown()


@pytest.fixture(autouse=True)
def _hurry(monkeypatch):
    monkeypatch.setattr(_download, "_PAUSE_S", 0.001)
    monkeypatch.delenv("MEDSEGANY_OFFLINE")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights" / "model.pt"


def fetch(server, path, *, size=LENGTH, sha256=SHA256, **more):
    return _download.download(server.url, path, size=size, sha256=sha256, **more)


def left(path):
    return sorted(p.name for p in path.parent.iterdir() if not p.name.endswith(".lock"))


class TestTheFileComes:
    def test_whole_and_told_of(self, server, path):
        seen = []
        assert fetch(server, path, on_progress=seen.append) == SHA256
        assert path.read_bytes() == CONTENT
        assert left(path) == ["model.pt"]
        assert [p.done for p in seen] == sorted(p.done for p in seen)
        assert (seen[0].done, seen[-1].done, seen[-1].total) == (0, len(CONTENT), len(CONTENT))

    def test_and_not_twice(self, server, path):
        fetch(server, path)
        fetch(server, path)
        assert len(server.asked) == 1

    def test_in_pieces_when_the_line_breaks(self, server, path):
        server.cuts = [300_000, 200_000, 1000, 1]
        fetch(server, path)
        assert path.read_bytes() == CONTENT
        assert [h.get("Range") for h in server.asked] == [
            None, "bytes=300000-", "bytes=500000-", "bytes=501000-", "bytes=501001-",
        ]  # fmt: skip

    def test_from_the_start_where_the_server_cannot_go_on(self, server, path):
        server.cuts, server.ranges = [300_000], False
        fetch(server, path)
        assert path.read_bytes() == CONTENT

    def test_after_the_server_was_busy(self, server, path):
        server.status = [503, 429, 500]
        fetch(server, path)
        assert len(server.asked) == 4

    def test_through_a_redirect(self, server, path):
        with Server() as other:
            threading.Thread(target=other.serve_forever).start()
            server.location = other.url
            fetch(server, path)
            other.shutdown()
        assert path.read_bytes() == CONTENT

    def test_when_nobody_knows_its_length(self, server, path):
        server.said_length = "none"
        assert fetch(server, path, size=None, sha256=None) == SHA256

    def test_through_a_proxy(self, server, path, monkeypatch):
        """The proxy is our server: it is asked for another host's file."""
        monkeypatch.setenv("http_proxy", server.url.rsplit("/", 1)[0])
        monkeypatch.delenv("no_proxy", raising=False)
        url = "http://weights.invalid/model.pt"
        _download.download(url, path, size=len(CONTENT), sha256=SHA256)
        assert server.asked[0]["Host"] == "weights.invalid"

    def test_once_for_two_who_ask_at_once(self, server, path):
        server.pause = 0.01
        both = [threading.Thread(target=fetch, args=(server, path)) for _ in range(2)]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
        assert path.read_bytes() == CONTENT
        assert len(server.asked) == 1

    def test_a_changed_file_is_not_mixed_with_the_old_one(self, server, path):
        """No hash is known, so only the server's name of the version tells."""
        server.cuts = [400_000] + [0] * _download.ATTEMPTS
        with pytest.raises(errors.DownloadError):
            fetch(server, path, size=None, sha256=None)
        server.content, server.etag, server.cuts = CONTENT[::-1], '"two"', []
        fetch(server, path, size=None, sha256=None)
        assert path.read_bytes() == CONTENT[::-1]


class TestTheFileDoesNotCome:
    def test_wrong_bytes_are_deleted_and_named(self, server, path):
        server.content = CONTENT[:-1] + b"!"
        found = hashlib.sha256(server.content).hexdigest()
        with pytest.raises(errors.CheckpointError, match=rf"{found}, and {SHA256} was expected"):
            fetch(server, path)
        assert left(path) == []

    def test_a_good_old_file_is_kept(self, server, path):
        path.parent.mkdir()
        path.write_bytes(b"old and good")
        server.content = b"bad"
        with pytest.raises(errors.CheckpointError, match="is as it was"):
            fetch(server, path, size=None)
        assert path.read_bytes() == b"old and good"

    def test_more_than_was_published(self, server, path):
        server.content = CONTENT * 2
        with pytest.raises(
            errors.CheckpointError, match="sends 2,048,000 bytes, and the file has 1,024,000"
        ):
            fetch(server, path)
        assert left(path) == []

    def test_a_length_that_is_too_long(self, server, path):
        """It always ends early, so it is given up."""
        server.said_length, server.ranges = len(CONTENT) + 1000, False
        with pytest.raises(errors.DownloadError, match="the connection ended after 1,024,000 of"):
            fetch(server, path, size=None)
        assert not path.exists()

    def test_a_page_instead_of_the_file_loses_nothing(self, server, path):
        """The network of a hotel: what had arrived before is gone on with afterwards."""
        server.cuts = [700_000] + [0] * _download.ATTEMPTS
        with pytest.raises(errors.DownloadError):
            fetch(server, path)
        server.content, server.ranges, server.cuts = b"<html>please log in</html>", False, []
        with pytest.raises(errors.DownloadError, match=r"sends 26 bytes.*ask for a login"):
            fetch(server, path)
        server.content, server.ranges = CONTENT, True
        fetch(server, path)
        assert path.read_bytes() == CONTENT
        assert server.asked[-1]["Range"] == "bytes=700000-"

    @pytest.mark.parametrize("status", [401, 403, 404, 410])
    def test_what_is_refused_is_not_asked_for_again(self, server, path, status):
        server.status = [status] * 9
        with pytest.raises(errors.DownloadError, match=f"the server says {status}"):
            fetch(server, path)
        assert len(server.asked) == 1

    def test_a_line_that_is_dead_is_given_up_and_gone_on_with_later(self, server, path):
        server.cuts = [700_000] + [0] * _download.ATTEMPTS
        with pytest.raises(errors.DownloadError, match=r"700,000 of 1,024,000 bytes are here"):
            fetch(server, path)
        assert not path.exists()
        fetch(server, path)
        assert path.read_bytes() == CONTENT
        assert server.asked[-1]["Range"] == "bytes=700000-"

    def test_nobody_is_there(self, path):
        with pytest.raises(errors.DownloadError, match=rf"put the file at {path} by hand"):
            _download.download("http://127.0.0.1:9/x", path, size=1, sha256=None)

    def test_from_https_it_is_never_led_to_http(self):
        handler = _download._SafeRedirects()
        request = _download.Request("https://weights.invalid/model.pt")
        with pytest.raises(errors.DownloadError, match="not encrypted"):
            handler.redirect_request(request, None, 302, "", {}, "http://weights.invalid/x")

    def test_a_part_that_is_too_long_is_begun_anew(self, server, path):
        path.parent.mkdir()
        path.with_name("model.pt.part").write_bytes(b"x" * (len(CONTENT) + 5))
        fetch(server, path)
        assert path.read_bytes() == CONTENT

    def test_a_part_of_something_else_is_found_out(self, server, path):
        path.parent.mkdir()
        path.with_name("model.pt.part").write_bytes(b"x" * 1000)
        with pytest.raises(errors.CheckpointError, match="not the published file"):
            fetch(server, path)
        fetch(server, path)  # it was deleted: the next try is good
        assert path.read_bytes() == CONTENT


KILLED = """
import sys
from pathlib import Path
from medsegany import _download
_download.download(sys.argv[1], Path(sys.argv[2]), size=int(sys.argv[3]), sha256=sys.argv[4])
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_whoever_kills_it_the_next_run_goes_on(server, path, how):
    server.pause = 0.05
    command = [sys.executable, "-c", KILLED, server.url, str(path), str(len(CONTENT)), SHA256]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    part = path.with_name("model.pt.part")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not (part.is_file() and part.stat().st_size > 1000):
        time.sleep(0.01)
    os.kill(process.pid, how)
    process.wait(10)
    assert not path.exists()
    have = part.stat().st_size
    assert 0 < have < len(CONTENT)
    server.pause = 0
    fetch(server, path)
    assert path.read_bytes() == CONTENT
    assert server.asked[-1]["Range"] == f"bytes={have}-"


class TestPull:
    @pytest.fixture
    def card(self, server, monkeypatch):
        card = ModelCard("mine", "sam2", "x", 1, 1024, "MIT", server.url, len(CONTENT), SHA256)
        monkeypatch.setitem(checkpoints.BY_NAME, "mine", card)
        return card

    def test_weights_are_fetched_once_and_checked_each_time(self, card, server):
        assert checkpoints.verify("mine") == "missing"
        path = checkpoints.pull("mine")
        assert path == checkpoints.expected_path(card)
        assert checkpoints.verify("mine") == "verified"
        checkpoints.pull("mine")
        assert len(server.asked) == 1
        path.write_bytes(CONTENT[:-1] + b"!")
        assert checkpoints.verify("mine") == "wrong"
        with pytest.raises(errors.CheckpointError, match="not the published file of mine"):
            checkpoints.pull("mine")
        assert path.read_bytes()[-1:] == b"!"  # yours to delete

    def test_a_file_copied_by_hand_is_found_and_verified(self, card, server):
        path = checkpoints.expected_path(card)
        path.parent.mkdir(parents=True)
        path.write_bytes(CONTENT)
        assert checkpoints.pull("mine") == path
        assert not server.asked

    @pytest.mark.parametrize("said", ["1", "true", "yes"])
    def test_offline_nothing_is_asked_for(self, card, server, monkeypatch, said):
        monkeypatch.setenv("MEDSEGANY_OFFLINE", said)
        with pytest.raises(
            errors.CheckpointError, match=r"MEDSEGANY_OFFLINE forbids.*put the file at .*model\.pt"
        ):
            checkpoints.pull("mine")
        assert not server.asked

    @pytest.mark.parametrize("said", ["", "0", "no", "false"])
    def test_these_words_are_no(self, monkeypatch, said):
        monkeypatch.setenv("MEDSEGANY_OFFLINE", said)
        assert not checkpoints.offline()

    def test_without_a_published_hash_the_first_download_counts(
        self, card, server, monkeypatch, caplog
    ):
        caplog.set_level(logging.WARNING)
        card = evolve(card, sha256=None, bytes=None)
        monkeypatch.setitem(checkpoints.BY_NAME, "mine", card)
        path = checkpoints.pull("mine")
        assert checkpoints.verify("mine") == "unknown"
        checkpoints.pin(card)  # as load does, once they have been loaded
        assert checkpoints.verify("mine") == "pinned"
        assert f"{SHA256}, is noted in model.pt.sha256" in caplog.text
        assert Path(f"{path}.sha256").read_text() == f"{SHA256}  model.pt\n"
        path.write_bytes(b"something else")
        with pytest.raises(errors.CheckpointError, match="has changed since it came"):
            checkpoints.pull("mine")
        path.unlink()
        server.content = b"something else"
        with pytest.raises(errors.CheckpointError, match="not the published file"):
            checkpoints.pull("mine")

    def test_a_copied_file_without_a_published_hash_is_not_pinned_unseen(self, card, monkeypatch):
        card = evolve(card, sha256=None, bytes=None)
        monkeypatch.setitem(checkpoints.BY_NAME, "mine", card)
        path = checkpoints.expected_path(card)
        path.parent.mkdir(parents=True)
        path.write_bytes(CONTENT)
        assert checkpoints.verify("mine") == "unknown"
        checkpoints.pull("mine")
        assert checkpoints.verify("mine") == "unknown"  # until it has been loaded

    def test_a_model_without_weights_has_none_to_fetch(self):
        assert checkpoints.verify("classical") == "none"
        with pytest.raises(errors.InvalidInput, match="no weights"):
            checkpoints.pull("classical")

    def test_an_unknown_name(self):
        with pytest.raises(errors.UnknownModel, match="sam1-b"):
            checkpoints.pull("sam3")


def test_without_a_way_to_the_server_it_does_not_try_for_half_a_minute(tmp_path, monkeypatch):
    asked = []

    def no_name(*args, **kwargs):
        asked.append(args)
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", no_name)
    monkeypatch.setattr(time, "sleep", lambda s: None)
    with pytest.raises(errors.DownloadError, match="name resolution.*by hand"):
        _download.download("https://nowhere.invalid/x", tmp_path / "x", size=None, sha256=None)
    assert len(asked) == 2


def test_who_waits_for_another_process_says_so(tmp_path):
    lock = FileLock(tmp_path / "x.lock")
    lock.acquire()
    (tmp_path / "x").write_bytes(b"abc")
    said = []

    def tell(progress):
        said.append(progress.stage)
        lock.release()

    _download.download(
        "https://nowhere.invalid/x", tmp_path / "x", size=3, sha256=None, on_progress=tell
    )
    assert said == ["bytes: another process is fetching them"]
