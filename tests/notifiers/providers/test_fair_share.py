"""One user's slow servers don't take all places."""

from contextlib import ExitStack

import pytest

from notifiers.errors import Blame, Refused
from notifiers.providers.fair_share import BUSY_S, FairShare


def test_a_user_has_so_many_places_and_others_have_theirs() -> None:
    share = FairShare(2)
    with ExitStack() as calls:
        for _ in range(2):
            calls.enter_context(share.place("7"))
        with pytest.raises(Refused) as caught, share.place("7"):
            pass
        refused = caught.value
        assert (refused.permanent, refused.blame, refused.retry_after_s) == (False, Blame.MESSAGE, BUSY_S)
        with share.place("8"):
            pass
    with share.place("7"):
        pass


def test_a_call_that_fails_gives_its_place_back() -> None:
    share = FairShare(1)
    for _ in range(3):
        with pytest.raises(ValueError, match="no"), share.place("7"):
            raise ValueError("no")
