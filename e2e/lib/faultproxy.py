"""A proxy in front of a real server that lets chosen requests go wrong: lost before they arrive, done and never answered, or slow."""

import http.client
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FaultProxy:
    def __init__(self, target=None):
        self.target = target
        self.requests = []
        self.down = False
        self.delay = 0.0
        #: place of a request since `arm` -> "lost", "unheard" or seconds
        self.faults = {}
        self.count = 0
        self.lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def serve(self):
                proxy.serve(self)

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = serve

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def arm(self, faults):
        with self.lock:
            self.count, self.faults, self.requests = 0, dict(faults), []

    def serve(self, handler):
        with self.lock:
            place, self.count = self.count, self.count + 1
            fault = self.faults.get(place)
            self.requests.append((handler.command, handler.path))
        body = handler.rfile.read(int(handler.headers.get("content-length") or 0))
        if self.down or fault == "lost":
            handler.close_connection = True
            handler.connection.close()
            return
        time.sleep(self.delay + (fault if isinstance(fault, float) else 0))
        connection = http.client.HTTPConnection(self.target, timeout=30)
        headers = {name: value for name, value in handler.headers.items() if name.lower() not in ("host", "connection", "content-length")}
        connection.request(handler.command, handler.path, body or None, headers)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        if fault == "unheard":
            handler.close_connection = True
            handler.connection.close()
            return
        try:
            handler.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() in ("content-type", "retry-after", "x-next-cursor"):
                    handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(data)))
            handler.end_headers()
            handler.wfile.write(data)
        except OSError:
            pass  # The client's patience ended first.

    def close(self):
        self.server.shutdown()
        self.server.server_close()
