"""Why something is left out."""


class Rejected(Exception):
    """A stage does not want this video, shot or clip. It is counted in the report; the rest goes on.

    Attributes:
        reason: a few words, the same for all such cases, so that they can be counted: "several dancers".
        detail: what makes this one such a case; may be empty.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


class Hopeless(Exception):
    """No video can be prepared: a model that cannot be loaded, a wrong key. The run stops with this message."""
