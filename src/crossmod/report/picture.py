"""Images inside a page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Picture:
    """An image inside the page."""

    uri: str
    alt: str
    width: int
    height: int


def data_uri(content: bytes, kind: str) -> str:
    """`data:` address of an image; `kind` is `png`, `jpeg`, `webp` or `svg+xml`."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def file_picture(path: Path, alt: str, width: int) -> Picture | None:
    """A small JPEG copy of an image file; None if it cannot be read."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            copy = image.convert("RGB")
    except OSError:
        return None
    height = max(1, round(copy.height * width / copy.width))
    if copy.width > width:
        copy = copy.resize((width, height), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    copy.save(stream, format="JPEG", quality=80)
    return Picture(data_uri(stream.getvalue(), "jpeg"), alt, *copy.size)


def whole_picture(path: Path, alt: str) -> Picture | None:
    """An image file as it is; None if it cannot be read."""
    from PIL import Image

    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            kind, size = str(image.format).lower(), image.size
    except OSError:
        return None
    return Picture(data_uri(content, kind), alt, *size)
