"""AudioCaps, release 2: edited captions for the clips of validation and test, and a larger training split.

Source: the folder `dataset2.0` of the AudioCaps repository; the same file names and columns as release 1. Captions are lower
case and many are corrected, so scores on the two releases cannot be compared: they are two configs.
"""

from __future__ import annotations

from .audiocaps import AudioCaps, _files, _remote


class AudioCapsV2(AudioCaps):
    """The second release: captions edited and in lower case."""

    name = "audiocaps_v2"
    release = "v2"
    files = _files("dataset2.0", "v2")
    where_to_get = "They are in the folder `dataset2.0` of https://github.com/cdjkim/audiocaps."
    # three lines of the training split were broken until October 2025: it is taken from the newest commit
    remote = _remote(
        "dataset2.0",
        "HEAD",
        val="dfdd0f83c70fb818fbb86dcba42754abfb97f7774d811fff91a1c89d84d868c5",
        test="365c8a8a71c9070a8d5dba5dd44f3a781f906632a49cb82b38bebaaa8f3c5ccb",
    )
    is_lower_case = True
