"""Resources on disk: zstd with a dictionary trained on FHIR's shapes (``scripts/train_dictionary.py``).

Every frame carries the number of the dictionary it was made with, so a better dictionary can be
added beside the old ones: the newest compresses, all of them decompress.
"""

from __future__ import annotations

from pathlib import Path

import zstandard

FOLDER = Path(__file__).parent / "dictionaries"
LEVEL = 3


class Blobs:
    """Compresses and decompresses; one thread at a time (the contexts are reused)."""

    def __init__(self, folder: Path = FOLDER) -> None:
        files = sorted(folder.glob("*.zstd-dictionary"), key=lambda path: int(path.stem))
        dictionaries = [zstandard.ZstdCompressionDict(path.read_bytes()) for path in files]
        self._readers = {each.dict_id(): zstandard.ZstdDecompressor(dict_data=each) for each in dictionaries}
        newest = dictionaries[-1]
        newest.precompute_compress(level=LEVEL)
        self._newest = self._readers[newest.dict_id()]
        self._compressor = zstandard.ZstdCompressor(level=LEVEL, dict_data=newest)

    def compress(self, content: bytes) -> bytes:
        """``content`` as it is kept; b"" stays b""."""
        return self._compressor.compress(content) if content else b""

    def decompress(self, blob: bytes) -> bytes:
        """The content of ``blob``. Raises zstandard.ZstdError when it is damaged."""
        if not blob:
            return b""
        try:
            return self._newest.decompress(blob)
        except zstandard.ZstdError:
            return self._reader_of(blob).decompress(blob)

    def _reader_of(self, blob: bytes) -> zstandard.ZstdDecompressor:
        number = zstandard.get_frame_parameters(blob).dict_id
        try:
            return self._readers[number]
        except KeyError:
            raise zstandard.ZstdError(f"compression dictionary {number} is not installed") from None
