"""A tool server by the official `mcp` package, on a free port that it prints. What reached it goes to the file named by --log.

Run by test_mcp.py in a process of its own, with the interpreter of the tests.
"""

import argparse
import asyncio
import json
import socket
import time

import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

arguments = argparse.ArgumentParser()
arguments.add_argument("--log", required=True)
arguments.add_argument("--json", action="store_true", help="answer with JSON instead of a stream of events")
arguments.add_argument("--stateless", action="store_true")
arguments = arguments.parse_args()

server = MCPServer("restaurant")


@server.tool()
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@server.tool()
def menu(course: str = "plat") -> dict[str, str]:
    """What is served."""
    return {"course": course, "name": "Bœuf bourguignon"}


@server.tool(structured_output=False)
def talk() -> str:
    """Says something."""
    return "bonjour"


@server.tool()
def refuse() -> str:
    """Always fails."""
    raise ToolError("no table left")


@server.tool()
async def stall() -> str:
    """Answers after a minute."""
    await asyncio.sleep(60)
    return "late"


@server.tool()
def huge() -> str:
    """Answers with a megabyte."""
    return "a" * 1_000_000


forgets = []


@server.tool()
async def forget() -> str:
    """Every session is dropped before the next call of a tool is looked at."""
    forgets.append(True)
    return "forgotten"


def recorded(app):
    """Writes down the headers and the message of each request."""

    async def wrapper(scope, receive, send):
        if scope["type"] != "http":
            return await app(scope, receive, send)
        body = b""
        more = True
        while more:
            part = await receive()
            body += part.get("body", b"")
            more = part.get("more_body", False)
        with open(arguments.log, "a") as log:
            entry = {
                "method": scope["method"],
                "target": scope["raw_path"].decode() + ("?" + scope["query_string"].decode() if scope["query_string"] else ""),
                "headers": {name.decode(): value.decode() for name, value in scope["headers"]},
                "body": body.decode(),
                "at": time.time(),
            }
            log.write(json.dumps(entry) + "\n")
        if forgets and b'"tools/call"' in body:
            forgets.clear()
            server.session_manager._server_instances.clear()
        given = False

        async def replay():
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await app(scope, replay, send)

    return wrapper


listener = socket.socket()
listener.bind(("127.0.0.1", 0))
app = server.streamable_http_app(json_response=arguments.json, stateless_http=arguments.stateless)
listener.listen()
print(listener.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(recorded(app), log_level="warning")).run(sockets=[listener])
