"""Entry point: the commands, and the one place where an error becomes an exit code."""

from __future__ import annotations

import errno
import sys
from contextlib import suppress

import click

from embstore import __version__
from embstore.errors import DiskFailure, EmbstoreError
from embstore_cli.commands.audit import audit
from embstore_cli.commands.build import build
from embstore_cli.commands.classify import classify
from embstore_cli.commands.compare import compare
from embstore_cli.commands.delete import delete
from embstore_cli.commands.doctor import doctor
from embstore_cli.commands.export import export
from embstore_cli.commands.finetune import finetune
from embstore_cli.commands.fit import fit
from embstore_cli.commands.info import info
from embstore_cli.commands.list_stores import list_stores
from embstore_cli.commands.neighbors import neighbors
from embstore_cli.commands.relabel import relabel
from embstore_cli.commands.serve import serve
from embstore_cli.commands.umap import umap
from embstore_cli.commands.verify import verify
from embstore_cli.streams import open_streams

# What a library meets that writes where there is no room.
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="embstore")
def cli() -> None:
    """Turn a labelled text dataset and a frozen transformer into a store, and ask it questions.

    \b
    embstore build                       build the sample store
    embstore neighbors "some text"       ask it what is near a text
    embstore build train.csv -s mine     build your own
    embstore fit                         fit a classifier on its embeddings
    embstore classify "some text"        ask it for a label
    embstore compare                     weigh heads: is frozen good enough?
    embstore umap --picture map.png      look at it
    embstore audit                       find wrong labels, duplicates and leaks
    embstore serve                       answer over HTTP, with a page to explore it

    Exit codes: 0 done, 1 failed, 2 usage, 3 done with quarantined records, 4 locked by another writer,
    5 damaged, 6 disk, 7 encoder mismatch, 130 stopped by Ctrl-C.
    """  # noqa: D301 (click reads the backspace character as "keep these lines")


for command in (
    *(build, neighbors, fit, classify, compare, finetune),
    *(umap, audit, relabel, export, serve),
    *(info, list_stores, verify, doctor, delete),
):
    cli.add_command(command)


def main() -> None:
    """Run a command line and exit with its code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run a command line; return the exit code. A user's mistake never shows a traceback."""
    open_streams()
    code = _run(arguments)
    # What an error left in the buffer must not fail once more when Python ends.
    with suppress(OSError, DiskFailure):
        sys.stdout.flush()
    return code


def _run(arguments: list[str]) -> int:
    try:
        code = cli.main(arguments, prog_name="embstore", standalone_mode=False)
        # What is still buffered fails here, where it can be told.
        sys.stdout.flush()
    except EmbstoreError as error:
        click.echo(f"Error: {error}", err=True)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        click.echo("Stopped.", err=True)
        return 130
    except (BrokenPipeError, SystemExit):
        # The reader of a pipe went away, `| head` for one; click and rich make a SystemExit of it.
        return 0
    except OSError as error:
        # embstore's own files say so themselves; this is a library's, the cache of what it compiles for one.
        if error.errno not in _NO_ROOM:
            raise
        file = error.filename or "a file of a library"
        failure = DiskFailure(f"Writing to {file} failed: {error.strerror}.", fix="df -h   # make room")
        click.echo(f"Error: {failure}", err=True)
        return failure.exit_code
    return code if isinstance(code, int) else 0
