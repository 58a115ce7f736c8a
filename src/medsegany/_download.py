"""One file from the web: resumed, checked, and under its name only when it is whole.

The well-kept downloaders do parts of this: pooch does not resume, and huggingface_hub only knows
its own host. urllib brings redirects and proxies, filelock (which torch needs anyway) the rest.
"""

import errno
import http.client
import os
import shutil
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from attrs import define

from medsegany._sha256 import file_sha256
from medsegany.errors import CheckpointError, DownloadError
from medsegany.progress import OnProgress, Progress, no_progress

ATTEMPTS = 6  # without a byte of progress
TIMEOUT_S = 30.0
_PAUSE_S = 0.5
_CHUNK = 1 << 18
_NO_WAY = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN}
_COME_AGAIN = {408, 425, 429, 500, 502, 503, 504}


def download(
    url: str,
    path: Path,
    *,
    size: int | None,
    sha256: str | None,
    on_progress: OnProgress = no_progress,
) -> str:
    """Fetch a file, unless it is there as wanted; several processes may do so at once.

    What has arrived lies beside it as `<name>.part`, and the next call goes on from there, whether
    the connection broke, the disk was full or the process was killed.

    Args:
        url: Where it is.
        path: Where it goes. A file of that name is replaced only by one that is as wanted.
        size: Its bytes, where they are known.
        sha256: Of its content, where it is known.
        on_progress: Told of bytes.

    Returns:
        The sha256 of the file.

    Raises:
        DownloadError: There is no connection, or it broke too often, or the disk is full.
        CheckpointError: What came is not what was wanted.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path, size, on_progress):
            if path.is_file() and (found := _as_wanted(path, size, sha256)):
                return found  # another process has fetched it meanwhile
            return _Download(url, path, size, sha256, on_progress).run()
    except OSError as error:
        free = shutil.disk_usage(path.parent).free if path.parent.is_dir() else 0
        msg = (
            f"{path} cannot be written: {error.strerror or error}. The disk has {free:,} bytes "
            "left. What has arrived is kept, and the next try goes on from there."
        )
        raise DownloadError(msg) from error


@contextmanager
def _alone(path: Path, size: int | None, on_progress: OnProgress) -> Iterator[None]:
    """One process at a time; the others say that they wait."""
    from filelock import FileLock, Timeout  # noqa: PLC0415 -- keeps `import medsegany` fast

    lock = FileLock(path.with_name(f"{path.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        on_progress(Progress("bytes: another process is fetching them", 0, size))
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _as_wanted(path: Path, size: int | None, sha256: str | None) -> str:
    if size is not None and path.stat().st_size != size:
        return ""
    found = file_sha256(path)
    return found if sha256 in (None, found) else ""


class _Broken(Exception):
    """The connection ended before the file did; the next one may go on."""


class _Unreachable(_Broken):
    """There is no way to the server, and a second later there will hardly be one."""


def _broken(reason: object) -> _Broken:
    no_way = isinstance(reason, socket.gaierror) or getattr(reason, "errno", None) in _NO_WAY
    said = getattr(reason, "strerror", None) or str(reason)
    return _Unreachable(said) if no_way else _Broken(said)


class _SafeRedirects(HTTPRedirectHandler):
    """From https never to http, where anybody on the way could change the file."""

    def redirect_request(
        self,
        req: Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> Request | None:
        if urlsplit(req.full_url).scheme == "https" and urlsplit(newurl).scheme != "https":
            said = f"{req.full_url} leads to {newurl}, which is not encrypted: refused."
            raise DownloadError(said)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@define
class _Download:
    url: str
    path: Path
    size: int | None
    sha256: str | None
    on_progress: OnProgress

    @property
    def part(self) -> Path:
        return self.path.with_name(f"{self.path.name}.part")

    @property
    def version(self) -> Path:
        """Keeps what the server calls this version of the file, so that two are never mixed."""
        return self.path.with_name(f"{self.path.name}.part.version")

    def run(self) -> str:
        self._receive_all()
        found = file_sha256(self.part)
        if self.sha256 not in (None, found):
            self._drop()
            msg = (
                f"What {self.url} sent is not the published file: its sha256 is {found}, and "
                f"{self.sha256} was expected. It was deleted."
            )
            if self.path.is_file():
                msg += f" {self.path} is as it was."
            raise CheckpointError(msg)
        with self.part.open("rb+") as file:
            os.fsync(file.fileno())
        self.part.replace(self.path)
        self.version.unlink(missing_ok=True)
        return found

    def _receive_all(self) -> None:
        failed, most = 0, self._here()
        while True:
            try:
                self._receive()
            except _Broken as error:
                # Bytes that arrived are progress, however often the line breaks.
                step = ATTEMPTS // 2 if isinstance(error, _Unreachable) else 1
                failed = 0 if self._here() > most else failed + step
                most = max(most, self._here())
                if failed >= ATTEMPTS:
                    raise DownloadError(self._gave_up(error)) from error
                time.sleep(_PAUSE_S * 2**failed)
            else:
                return

    def _receive(self) -> None:
        """Ask for what is missing.

        Raises:
            _Broken: It came in part, or the server asks to come again.
        """
        have = self._here()
        if self.size is not None and have > self.size:
            self._drop()
            have = 0
        if have and have == self.size:
            return
        try:
            with build_opener(_SafeRedirects).open(
                self._request(have), timeout=TIMEOUT_S
            ) as answer:
                self._take(answer, have)
        except HTTPError as error:
            self._refused(error, have)
        except (http.client.HTTPException, TimeoutError, ConnectionError, ssl.SSLError) as error:
            raise _Broken(str(error) or type(error).__name__) from error
        except URLError as error:
            raise _broken(error.reason) from error
        except OSError as error:
            if error.errno in _NO_WAY:
                raise _broken(error) from error
            raise

    def _request(self, have: int) -> Request:
        headers = {"User-Agent": "medsegany", "Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
            version = self.version.read_bytes() if self.version.is_file() else b""
            if version.isascii() and version.decode("ascii").isprintable() and version:
                headers["If-Range"] = version.decode("ascii")
        return Request(self.url, headers=headers)  # noqa: S310 -- http and https only, by the table

    def _take(self, answer: Any, have: int) -> None:  # noqa: ANN401 -- urllib has no one type
        if have and answer.status == 206:
            begins = answer.headers.get("Content-Range", "").removeprefix("bytes ").split("-")[0]
            if begins != str(have):
                self._drop()
                msg = f"it went on at byte {begins!r} instead of {have}"
                raise _Broken(msg)
            keep = have
        else:  # the whole file: there is another version, or the server cannot go on
            keep = 0
        length = answer.headers.get("Content-Length")
        self._refuse_a_page(answer, keep, length)
        if not keep:
            self._drop()
        have = keep
        total = self.size or (have + int(length) if str(length).isdecimal() else None)
        name = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
        if name and not name.startswith("W/"):
            self.version.write_text(name, "utf-8")
        else:
            self.version.unlink(missing_ok=True)
        with self.part.open("ab" if have else "wb") as file:
            self.on_progress(Progress("bytes", have, total))
            while chunk := answer.read(_CHUNK):
                have += len(chunk)
                if total is not None and have > total:
                    file.close()
                    self._drop()
                    msg = f"{self.url} sends more than the {total:,} bytes that the file has."
                    raise CheckpointError(msg)
                file.write(chunk)
                self.on_progress(Progress("bytes", have, total))
        if total is not None and have < total:
            msg = f"the connection ended after {have:,} of {total:,} bytes"
            raise _Broken(msg)

    def _refuse_a_page(self, answer: Any, have: int, length: str | None) -> None:  # noqa: ANN401
        """Something else than the file, such as the page of a hotel's network; nothing is lost."""
        kind = answer.headers.get("Content-Type", "")
        said = have + int(length) if length and length.isdecimal() else None
        if kind.startswith("text/html") or (self.size and said is not None and said != self.size):
            what = "a web page" if kind.startswith("text/html") else f"{said:,} bytes"
            msg = (
                f"{self.url} sends {what}, and the file "
                + (f"has {self.size:,} bytes. " if self.size else "is none. ")
                + "Does the network ask for a login, or a proxy answer instead?"
            )
            raise DownloadError(msg)

    def _refused(self, error: HTTPError, have: int) -> None:
        with error:
            if error.code == 416 and have:
                if error.headers.get("Content-Range", "").endswith(f"/{have}") and not self.size:
                    return  # all of it is here
                self._drop()
                msg = "the server has fewer bytes than have arrived"
                raise _Broken(msg) from error
            if error.code in _COME_AGAIN:
                msg = f"the server says {error.code} {error.reason}"
                raise _Broken(msg) from error
        msg = f"{self.url} cannot be fetched: the server says {error.code} {error.reason}."
        raise DownloadError(msg) from error

    def _gave_up(self, error: Exception) -> str:
        here = self._here()
        msg = f"{self.url} cannot be fetched: {error}."
        if here:
            of = f" of {self.size:,}" if self.size else ""
            msg += f" {here:,}{of} bytes are here, and the next try goes on from there."
        return f"{msg} Without a connection, put the file at {self.path} by hand."

    def _here(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def _drop(self) -> None:
        self.part.unlink(missing_ok=True)
        self.version.unlink(missing_ok=True)
