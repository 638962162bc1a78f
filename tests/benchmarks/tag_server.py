"""A registry that has nothing but tags, all for one image, and takes the same time for each of them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

_PAGE = 1000
_MANIFEST = {
    "Content-Type": "application/vnd.oci.image.manifest.v1+json",
    "Content-Length": "500",
    "Docker-Content-Digest": f"sha256:{'5' * 64}",
}


@contextmanager
def tag_server(count: int) -> Iterator[str]:
    """Host and port of a registry with ``count`` tags, in pages of a thousand, in any repository.

    It says of each what it names, and has nothing else.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            start = int(parse_qs(parts.query).get("last", ["t0"])[0][1:])
            end = min(start + _PAGE, count)
            tags = [f"t{number}" for number in range(start + 1, end + 1)]
            body = json.dumps({"name": "image", "tags": tags}).encode() if parts.path != "/v2/" else b"{}"
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            if end < count:
                self.send_header("Link", f'<{parts.path}?last=t{end}>; rel="next"')
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()

        def do_HEAD(self) -> None:
            self.send_response(200)
            for name, value in _MANIFEST.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.flush()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
