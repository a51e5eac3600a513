"""A service that can only be backed up while it is down: it appends frames to one large file."""

from __future__ import annotations

import os
import sys
import time

FRAME = 64 * 1024
PAUSE = 0.2


def main() -> None:
    """Append to the file that is named on the command line, until the service is stopped."""
    with open(sys.argv[1], "ab", buffering=0) as recording:
        while True:
            recording.write(os.urandom(FRAME))
            time.sleep(PAUSE)


if __name__ == "__main__":
    main()
