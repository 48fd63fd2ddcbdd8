"""Templates as they were compiled by an earlier process: compiling takes longer than filling them."""

from contextlib import suppress
from pathlib import Path

from jinja2.bccache import Bucket, FileSystemBytecodeCache

from collapse_core.runtime.cache import make_private


class CompiledTemplates(FileSystemBytecodeCache):
    """Compiled templates in a directory; where it cannot be read or written, there are none.

    jinja2 compares each with the digest of its source, and with its own version.
    """

    def load_bytecode(self, bucket: Bucket) -> None:
        """Read what was compiled, if it is there."""
        with suppress(OSError):
            super().load_bytecode(bucket)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep what was compiled."""
        with suppress(OSError):
            make_private(Path(self.directory).parent)
            Path(self.directory).mkdir(mode=0o700, exist_ok=True)
            super().dump_bytecode(bucket)
