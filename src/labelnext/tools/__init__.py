"""What goes out of a loop and comes back: batches to labelling tools, and labels to files.

`push` asks people in a tool, `pull` brings back what they say. Both can be repeated at any time:
what names loop, round and sample is sent and written once.
"""

from labelnext.tools.files import FORMATS, File
from labelnext.tools.label_studio import LabelStudio, ToolError

__all__ = ["FORMATS", "File", "LabelStudio", "ToolError"]
