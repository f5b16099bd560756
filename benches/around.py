"""What measurements here have in common: backends that answer from within, and crossfade as seen from outside."""

import asyncio
import collections
import contextlib
import hashlib
import multiprocessing
import pathlib
import re
import resource
import socket
import sys
import urllib.request


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def reset(writer):
    """Ends a connection as a process that is killed does: with a reset."""
    sock = writer.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()


class Message:
    """A request or an answer: its head, and how to read its content."""

    def __init__(self, head):
        self.start = head.split(b"\r\n", 1)[0].decode()
        self.fields = {name.lower(): value.strip() for name, value in re.findall(r"(?m)^([^:\s]+):(.*)\r$", head.decode())}

    async def content(self, reader):
        """Its pieces as they come."""
        try:
            if self.fields.get("transfer-encoding") == "chunked":
                while size := int(await reader.readuntil(b"\r\n"), 16):
                    yield await reader.readexactly(size)
                    await reader.readexactly(2)
                await reader.readuntil(b"\r\n")
                return
            left = int(self.fields.get("content-length", 0))
            while left:
                piece = await reader.readexactly(min(left, 1 << 14))
                left -= len(piece)
                yield piece
        except asyncio.IncompleteReadError:
            raise ConnectionError("its content breaks off") from None


async def read(reader):
    """The next message and the hash of its content."""
    message = Message(await reader.readuntil(b"\r\n\r\n"))
    return message, await digest(message, reader)


async def digest(message, reader):
    taken = hashlib.sha256()
    async for piece in message.content(reader):
        taken.update(piece)
    return taken.hexdigest()


def framed(body, chunks, more=""):
    """An answer or the end of a request: framing fields and content, in one piece or in chunks."""
    if not chunks:
        return f"Content-Length: {len(body)}\r\n{more}\r\n".encode() + body
    pieces = [body[at : at + 10_000] for at in range(0, len(body), 10_000)]
    coded = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return f"Transfer-Encoding: chunked\r\n{more}\r\n".encode() + coded + b"0\r\n\r\n"


class Backend:
    """A listening port whose connections can be ended all at once."""

    def __init__(self):
        self.port, self.server, self.open = 0, None, {}

    async def start(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", self.port, backlog=1024)
        self.port = self.server.sockets[0].getsockname()[1]

    def kill(self):
        self.server.close()
        for writer in list(self.open):
            reset(writer)

    async def serve(self, reader, writer):
        self.open[writer] = None
        try:
            while await self.exchange(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open.pop(writer, None)
            writer.close()


class Answering(asyncio.Protocol):
    """Gives each request the same answer at once; where its target says so, after so many milliseconds: `/after/500`."""

    ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + framed(b'{"items":[%s1]}' % (b"1000000," * 125), False)

    def __init__(self):
        self.pending = b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.pending += data
        while (end := self.pending.find(b"\r\n\r\n")) >= 0:
            head, self.pending = self.pending[:end], self.pending[end + 4 :]
            if wait := re.match(rb"GET /after/(\d+) ", head):
                asyncio.get_running_loop().call_later(int(wait[1]) / 1000, self.transport.write, self.ANSWER)
            else:
                self.transport.write(self.ANSWER)


async def answer_for_ever(count, tell):
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(Answering, "127.0.0.1", 0, backlog=4096) for _ in range(count)]
    tell.send([server.sockets[0].getsockname()[1] for server in servers])
    await asyncio.Event().wait()


@contextlib.contextmanager
def answering(count):
    """Backends for GET in a process of their own; gives their ports."""
    hear, tell = multiprocessing.Pipe()
    process = multiprocessing.Process(target=lambda: asyncio.run(answer_for_ever(count, tell)), daemon=True)
    process.start()
    try:
        yield hear.recv()
    finally:
        process.terminate()
        process.join()


class Crossfade:
    """The process, seen from outside. Files are written by rename, as people should."""

    def __init__(self, binary, folder):
        self.binary, self.folder = binary.resolve(), folder
        self.listen, self.admin = free_port(), free_port()

    async def start(self, config, rollout):
        """Runs with these files, of which the first lacks the ports, and waits until it serves."""
        self.write("crossfade.toml", config)
        self.write("rollout.toml", rollout)
        arguments = [self.binary, "run", "--config", self.folder / "crossfade.toml", "--log", "error"]
        with open(self.folder / "log", "w") as log:
            self.process = await asyncio.create_subprocess_exec(*arguments, stderr=log, stdout=log, cwd=self.folder)
        while not await self.is_ready():
            if self.process.returncode is not None:
                sys.exit("crossfade did not start:\n" + self.log())
            await asyncio.sleep(0.05)

    def log(self):
        return (self.folder / "log").read_text()

    async def is_ready(self):
        try:
            await self.metrics()
        except OSError:
            return False
        return True

    def write(self, name, text):
        new = self.folder / (name + ".new")
        new.write_text(text % {"listen": self.listen, "admin": self.admin} if name == "crossfade.toml" else text)
        new.rename(self.folder / name)

    def ask(self, path):
        """What the admin port says."""
        return urllib.request.urlopen(f"http://127.0.0.1:{self.admin}{path}", timeout=10).read().decode()

    async def metrics(self):
        """The sum of each metric, and of each of its series by its labels."""
        page = await asyncio.to_thread(self.ask, "/metrics")
        sums = collections.Counter()
        for name, labels, value in re.findall(r"(?m)^(\w+)(?:\{(.*)\})? (\S+)$", page):
            sums[name] += float(value)
            for label in re.findall(r'\w+="[^"]*"', labels):
                sums[f"{name} {label}"] += float(value)
        return sums

    def size(self):
        """Resident bytes, and open descriptors."""
        pages = pathlib.Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        descriptors = len(list(pathlib.Path(f"/proc/{self.process.pid}/fd").iterdir()))
        return int(pages) * resource.getpagesize(), descriptors

    async def stop(self):
        if self.process.returncode is None:
            self.process.terminate()
        await self.process.wait()
