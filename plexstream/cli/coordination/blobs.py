"""``plexstream blob``: files to and from a container of blobs."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plexstream.cli.calls.calls import Url, reaching
from plexstream.cli.common import options
from plexstream.cli.common.output import App, print_json
from plexstream.model.errors import ConfigError

if TYPE_CHECKING:
    from plexstream.client.blobs import Container

app = App(help="Keep files as blobs: bytes under names.")

BlobName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the blob.")]
File = Annotated[str, typer.Argument(metavar="FILE", help="A file; - for standard input or output.")]
In = Annotated[str, typer.Option("--container", "-c", help="Name of the container.")]


@app.command()
def put(
    name: BlobName,
    file: File = "-",
    content_type: Annotated[str, typer.Option("--type", help="Content type.")] = "application/octet-stream",
    container: In = "default",
    url: Url = None,
    config: options.ConfigFile = None,
) -> None:
    """Upload a file, or else standard input, under a name; prints what it is as JSON.

    [bold]Examples[/]

      plexstream blob put reports/may.pdf may.pdf --type application/pdf
      tar cz src | plexstream blob put src.tar.gz
    """
    if file != "-" and (not Path(file).exists() or Path(file).is_dir()):
        raise ConfigError(f"{file!r} is no file: give the blob's name, then the file; - is standard input")
    with _container(container, url, config) as blobs:
        print_json(_shown(blobs.upload(name, sys.stdin.buffer if file == "-" else Path(file), content_type)))


@app.command()
def get(
    name: BlobName,
    file: File = "-",
    container: In = "default",
    url: Url = None,
    config: options.ConfigFile = None,
) -> None:
    """Download a blob to a file, which is there only once it is whole.

    [bold]Example[/]

      plexstream blob get reports/may.pdf may.pdf
    """
    with _container(container, url, config) as blobs:
        if file == "-":
            for piece in blobs.stream(name):
                sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
            return
        part = Path(file).parent / f".{uuid.uuid4().hex}.part"
        try:
            with part.open("wb") as out:
                for piece in blobs.stream(name):
                    out.write(piece)
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)


@app.command()
def ls(
    prefix: Annotated[str, typer.Argument(metavar="[PREFIX]", help="What names begin with.")] = "",
    after: Annotated[str, typer.Option("--after", help="Names behind this one.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="So many at most.")] = 1000,
    container: In = "default",
    url: Url = None,
    config: options.ConfigFile = None,
) -> None:
    """List blobs, a line of JSON each.

    [bold]Example[/]

      plexstream blob ls reports/
    """
    with _container(container, url, config) as blobs:
        for blob in blobs.list(prefix, after, limit):
            print_json(_shown(blob))


@app.command()
def rm(
    name: BlobName, container: In = "default", url: Url = None, config: options.ConfigFile = None
) -> None:
    """Delete a blob; prints whether it was there.

    [bold]Example[/]

      plexstream blob rm reports/may.pdf
    """
    with _container(container, url, config) as blobs:
        print_json(blobs.delete(name))


@app.command()
def stat(
    name: BlobName, container: In = "default", url: Url = None, config: options.ConfigFile = None
) -> None:
    """Print what a blob is as JSON; null where there is none.

    [bold]Example[/]

      plexstream blob stat reports/may.pdf
    """
    with _container(container, url, config) as blobs:
        print_json(_shown(blobs.stat(name)))


@app.command("url")
def url_of(
    name: BlobName,
    expires: Annotated[float, typer.Option("--expires", metavar="SECONDS", help="Good for so long.")] = 3600,
    container: In = "default",
    url: Url = None,
    config: options.ConfigFile = None,
) -> None:
    """Print where anybody may download a blob for a while, straight from S3; null where there is none.

    [bold]Example[/]

      plexstream blob url reports/may.pdf --expires 600
    """
    with _container(container, url, config) as blobs:
        print_json(blobs.url(name, expires))


@app.command()
def sweep(container: In = "default", url: Url = None, config: options.ConfigFile = None) -> None:
    """Take objects away that no name has, and that are older than an hour; prints how many there were.

    [bold]Example[/]

      plexstream blob sweep --container reports
    """
    with _container(container, url, config) as blobs:
        print_json(blobs.sweep())


@contextmanager
def _container(name: str, url: str | None, config: Path | None) -> Iterator[Container]:
    with reaching(url, None, None, config) as client:
        yield client.blobs.container(name)


def _shown(blob: Any) -> Any:
    import dataclasses

    return None if blob is None else dataclasses.asdict(blob)
