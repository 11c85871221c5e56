"""How long tests wait.

A test waits for a condition, not for a time: what these bounds end has failed. A machine that does other work
besides may be several times slower than an idle one, so none of them is close.
"""

from __future__ import annotations

#: For whatever must come.
PATIENCE_S = 60.0
#: For what is promised at once, or within a second or two. Without what keeps the promise it would take a wait that
#: is never over, or one of the engine's own, of 30 s and more.
SOON_S = 10.0
