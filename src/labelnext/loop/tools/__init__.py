"""Labelling tools: `push` asks people there, `pull` brings back what they say.

Both can be repeated at any time: what names loop, round and sample is sent and written once.
"""

from labelnext.loop.tools.files import FORMATS, File
from labelnext.loop.tools.label_studio import LabelStudio, ToolError

__all__ = ["FORMATS", "File", "LabelStudio", "ToolError"]
