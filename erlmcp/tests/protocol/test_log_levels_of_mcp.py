"""Which log messages are at or above a level."""

import pytest

from erlmcp.protocol.log_levels import is_wanted, level_in

ORDER = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"]


@pytest.mark.parametrize("least", ORDER)
def test_a_message_is_wanted_from_the_least_level_on(least):
    wanted = [level for level in ORDER if is_wanted({"level": level}, least)]
    assert wanted == ORDER[ORDER.index(least) :]


@pytest.mark.parametrize("params", [None, {}, {"level": "loud"}, {"level": 3}, {"level": ["error"]}])
def test_what_names_no_known_level_sets_none_and_is_left_to_the_client(params):
    assert level_in(params) is None
    assert is_wanted(params, "emergency")
