"""The server that asyncio's own documentation teaches: streams, a coroutine for each connection.

asyncio_server.py [--echo] [--uvloop]

It speaks HTTP with keep-alive, or echo. Where a client sends a request in pieces, or several at once, it is wrong: enough for a
benchmark.
"""

import asyncio
import resource
import sys

BUFFER_SIZE = 32 * 1024
PAGE = b"Hello from the other side.\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n" % len(PAGE)


async def echo(reader, writer):
    while data := await reader.read(BUFFER_SIZE):
        writer.write(data)
        await writer.drain()
    writer.close()


async def http(reader, writer):
    is_last = False
    while not is_last and (request := await reader.read(BUFFER_SIZE)):
        is_last = b"Connection: close" in request
        writer.write(HEAD + (b"Connection: close\r\n" if is_last else b"") + b"\r\n" + PAGE)
        await writer.drain()
    writer.close()


async def main():
    handler = echo if "--echo" in sys.argv else http
    server = await asyncio.start_server(handler, "127.0.0.1", 0, backlog=1024)
    print("listening on %s:%d" % server.sockets[0].getsockname(), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if "--uvloop" in sys.argv:
        import uvloop

        uvloop.run(main())
    else:
        asyncio.run(main())
