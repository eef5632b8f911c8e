import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.risk import LoginFacts, risk_of_failure

counts = st.integers(0, 10_000)
any_facts = st.builds(
    LoginFacts,
    account_failures=counts,
    address_failures=counts,
    account_exists=st.booleans(),
    admin=st.booleans(),
    second_factor=st.sampled_from([None, True, False]),
    known_address=st.booleans(),
    known_agent=st.booleans(),
)


@pytest.mark.parametrize(
    ("facts", "risk"),
    [
        (LoginFacts(), 10),
        (LoginFacts(account_failures=2), 22),
        (LoginFacts(account_failures=500), 40),
        (LoginFacts(address_failures=3), 19),
        (LoginFacts(address_failures=500), 40),
        (LoginFacts(account_exists=False), 20),
        (LoginFacts(account_exists=False, known_address=False, known_agent=False), 20),
        (LoginFacts(admin=True), 25),
        (LoginFacts(second_factor=False), 30),
        (LoginFacts(second_factor=True), 0),
        (LoginFacts(known_address=False), 20),
        (LoginFacts(known_agent=False), 15),
        (LoginFacts(account_failures=5, address_failures=10, admin=True, second_factor=False), 100),
    ],
)
def test_the_points_are_those_of_the_table(facts: LoginFacts, risk: int) -> None:
    assert risk_of_failure(facts) == risk


@given(any_facts)
def test_a_risk_is_always_between_0_and_100(facts: LoginFacts) -> None:
    assert 0 <= risk_of_failure(facts) <= 100


@given(any_facts, st.integers(0, 20))
def test_more_failures_never_lower_the_risk(facts: LoginFacts, more: int) -> None:
    worse = LoginFacts(
        account_failures=facts.account_failures + more,
        address_failures=facts.address_failures + more,
        account_exists=facts.account_exists,
        admin=facts.admin,
        second_factor=facts.second_factor,
        known_address=facts.known_address,
        known_agent=facts.known_agent,
    )
    assert risk_of_failure(worse) >= risk_of_failure(facts)
