"""What is said once above the tables."""

from musedance.report.results import Result
from musedance.report.score_tables import notices

MISSING = Result("fvd_disco", None, None, 0, reason="not computed: weights missing")
FOUND = Result("fvd_disco", 300.0, None, 40)


def test_whose_a_notice_is_stands_there_only_if_others_have_the_number() -> None:
    (of_all,) = notices({"generated": {"fvd_disco": MISSING}, "joints": {}})
    (of_one,) = notices({"generated": {"fvd_disco": MISSING}, "other": {"fvd_disco": FOUND}})
    assert " of generated" not in of_all and "FVD (DisCo) of generated:" in of_one
