"""The trace document as JSON: the document itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from stepscope.record.store import to_json

if TYPE_CHECKING:
    from stepscope.pipeline.document import Document


def render(document: Document) -> str:
    """The document, indented, with a newline at the end."""
    return msgspec.json.format(to_json(document), indent=2).decode() + "\n"
