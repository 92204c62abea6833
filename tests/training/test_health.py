"""What is skipped, what is said about it, and when it is enough."""

import json
import math
import random

import pytest
from accelerate import Accelerator

from musedance.training.config import HealthConfig
from musedance.training.health import Health, TrainingStopped, gather_ids


def settled(loss: float = 1.0, passes: int = 50, **config: float) -> Health:
    health = Health(HealthConfig(**config))
    for _ in range(passes):
        assert health.check([loss, loss]) is None
    return health


def test_losses_that_vary_as_they_do_in_training_are_fine() -> None:
    chance, health = random.Random(0), Health(HealthConfig())
    for step in range(2000):
        level = 1.0 if step < 100 else 0.1  # falls quickly at first
        assert health.check([level * chance.lognormvariate(0, 0.6) for _ in range(4)]) is None


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_named_with_its_rank_from_the_first_pass_on(loss: float) -> None:
    health = Health(HealthConfig())
    assert health.check([1.0, loss, 1.0]) == f"loss is {loss} on rank 1"
    assert health.state_dict()["passes"] == 0  # and is not in the mean


def test_an_explosion() -> None:
    health = settled(2.0)
    assert health.check([2.0, 39.9]) is None
    health = settled(2.0)
    assert health.check([2.0, 82.0]) == "loss 82 on rank 1 is 41 times the running mean 2"
    for _ in range(1000):
        assert health.check([812.0, 2.0]) == "loss 812 on rank 0 is 406 times the running mean 2"
    assert health.check([2.0, 2.0]) is None
    assert settled(2.0, explosion=4).check([9.0]) is not None


@pytest.mark.parametrize("passes", [0, 1, 19])
def test_a_mean_of_few_passes_is_none(passes: int) -> None:
    assert settled(1e-3, passes).check([1e3]) is None


def test_the_mean_forgets() -> None:
    """Closed form: after n passes at 1 following 100 at 0.001, it is 1 - 0.999 * 0.99^n."""
    health = settled(0.001, 100)
    health.config.explosion = math.inf
    for _ in range(250):
        health.check([1.0])
    assert health.state_dict()["mean"] == pytest.approx(1 - 0.999 * 0.99**250, rel=1e-9)


def test_the_first_hundred_count_alike() -> None:
    health = Health(HealthConfig(explosion=math.inf))
    for loss in range(100):
        health.check([loss, loss + 1.0])
    assert health.state_dict()["mean"] == pytest.approx(50.0)


def test_a_loss_of_zero_is_no_reason() -> None:
    assert settled(0.0).check([1.0]) is None


def test_gradients() -> None:
    health = Health(HealthConfig())
    assert health.check_gradient(1e9, scaled=False) is None
    assert health.check_gradient(math.inf, scaled=False) == "gradient norm is inf"
    assert health.check_gradient(math.nan, scaled=False) == "gradient norm is nan"


def test_a_loss_scale_has_twenty_steps_to_be_found() -> None:
    health = Health(HealthConfig(max_skipped=3))
    for _ in range(3):
        for step in range(20):
            assert health.check_gradient(math.inf, scaled=True) is None
            health.record(step, None, [])
        assert health.check_gradient(1.0, scaled=True) is None
    for _ in range(20):
        health.check_gradient(math.nan, scaled=True)
    with pytest.raises(TrainingStopped, match=r"21 steps in a row overflow fp16 .*memory\.precision=bf16"):
        health.check_gradient(math.nan, scaled=True)


def test_a_skipped_step_is_one_line_with_its_clips(capsys: pytest.CaptureFixture[str]) -> None:
    Health(HealthConfig()).record(7, "loss is nan on rank 3", ["clip-a", "clip-b"])
    line = "musedance: warning: step 7 skipped: loss is nan on rank 3 (clips clip-a, clip-b)\n"
    assert capsys.readouterr().err == line
    Health(HealthConfig(), main_process=False).record(7, "loss is nan on rank 3", ["clip-a", "clip-b"])
    Health(HealthConfig()).record(8, None, ["clip-a"])
    assert capsys.readouterr().err == ""


def test_enough_in_a_row() -> None:
    health = Health(HealthConfig(max_skipped=3))
    for step in (1, 2):
        health.record(step, "loss is nan on rank 0", ["a"])
    health.record(3, None, ["b"])
    for step in (4, 5):
        health.record(step, "loss is nan on rank 0", ["a"])
    with pytest.raises(TrainingStopped) as caught:
        health.record(6, "gradient norm is inf", ["c", "d"])
    message = str(caught.value)
    for part in ("step 6", "gradient norm is inf", "3 in a row", "clips c, d", "optim.lr", "bf16", "--resume"):
        assert part in message
    assert "\n" not in message


def test_going_on_is_as_if_it_had_never_stopped() -> None:
    """Through JSON, after every pass, with answers and state the same to the last digit."""
    chance = random.Random(1)
    losses = [[chance.lognormvariate(0, 2.5) for _ in range(3)] for _ in range(300)]
    config = HealthConfig(max_skipped=1000)
    whole, broken = Health(config, main_process=False), Health(config, main_process=False)
    reasons = []
    for step, of_ranks in enumerate(losses):
        reasons.append(whole.check(of_ranks))
        assert broken.check(of_ranks) == reasons[-1]
        for health in (whole, broken):
            health.record(step, reasons[-1], [])
        state = json.loads(json.dumps(broken.state_dict()))
        broken = Health(config, main_process=False)
        broken.load_state_dict(state)
        assert broken.state_dict() == whole.state_dict()
    assert 5 < sum(reason is not None for reason in reasons) < 100  # both answers were given


def test_skipped_steps_before_a_checkpoint_count() -> None:
    health = Health(HealthConfig(max_skipped=2))
    health.record(1, "loss is nan on rank 0", ["a"])
    resumed = Health(HealthConfig(max_skipped=2))
    resumed.load_state_dict(health.state_dict())
    with pytest.raises(TrainingStopped):
        resumed.record(2, "loss is nan on rank 0", ["a"])


def test_ids_of_one_process() -> None:
    assert gather_ids(Accelerator(cpu=True), ["a", "b"]) == ["a", "b"]
