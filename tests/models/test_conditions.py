"""Music, beats, the mask, and what "dropped" means for each."""

import torch

from musedance.models.temporal import ConditionModule, sinusoidal_positions


def predict(networks, batch, **changes):
    with torch.no_grad():
        return networks(**{**batch, **changes})


def test_every_condition_shows_in_the_prediction(networks, tiny):
    batch = tiny.batch()
    whole = predict(networks, batch)
    for name in ("music", "beats", "motion_latents", "densepose"):
        assert not torch.allclose(predict(networks, batch, **{name: None}), whole, atol=1e-3), name


def test_music_beats_and_densepose_drop_per_sample_with_one_meaning(networks, tiny):
    """A video whose condition is masked equals one without it; its neighbour in the batch does not notice."""
    batch = tiny.batch()
    whole, half = predict(networks, batch), torch.tensor([True, False])
    unknown = batch["beats"].clone()
    unknown[1] = 2
    dropped = {
        "music": {"music_mask": half},
        "densepose": {"densepose_mask": half},
        "beats": {"beats": unknown},
    }
    for name, changes in dropped.items():
        mixed, without = predict(networks, batch, **changes), predict(networks, batch, **{name: None})
        torch.testing.assert_close(mixed[0], whole[0], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(mixed[1], without[1], rtol=1e-5, atol=1e-5)
        assert not torch.allclose(mixed[1], whole[1], atol=1e-3), name


def test_unknown_beats_are_not_silence(networks, tiny):
    batch = tiny.batch()
    silence = predict(networks, batch, beats=torch.zeros_like(batch["beats"]))
    assert not torch.allclose(silence, predict(networks, batch, beats=None), atol=1e-3)


def test_no_densepose_is_no_residual_although_the_encoder_gives_one_for_black(networks, tiny):
    batch = tiny.batch()
    with torch.no_grad():
        assert networks.mask_encoder(torch.zeros_like(batch["densepose"])).abs().max() > 1e-3
        plain = networks.reference_net(batch["reference_latents"], batch["empty_text"])
        without = networks.encode_reference(batch["reference_latents"], batch["empty_text"])
    assert all(torch.equal(plain[name], without[name]) for name in plain)


def test_beats_act_only_through_their_positions():
    """Beats permuted together with their positions change nothing; beats permuted alone change the frames."""
    torch.manual_seed(0)
    module = ConditionModule(16, condition_dim=24, num_heads=4, norm_num_groups=4)
    torch.nn.init.normal_(module.proj_out.weight)
    embedding = torch.nn.Embedding(3, 24)
    hidden, beats = torch.randn(6, 16, 4, 5), torch.tensor([[1, 0, 0, 1, 0, 0]])
    positions = sinusoidal_positions(torch.arange(6), 24)
    order = torch.tensor([2, 0, 5, 1, 4, 3])

    def run(condition: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return module(hidden, condition, 6)

    told = run(embedding(beats) + positions)
    torch.testing.assert_close(run((embedding(beats) + positions)[:, order]), told, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(run(embedding(beats[:, order]) + positions), told, atol=1e-4)
    torch.testing.assert_close(run(embedding(beats[:, order])), run(embedding(beats)), rtol=1e-5, atol=1e-5)


def test_a_moved_beat_changes_the_frames_it_left_and_reached():
    """With attention that looks at its own time only, no other frame notices."""
    torch.manual_seed(0)
    module = ConditionModule(24, condition_dim=24, num_heads=1, norm_num_groups=4)
    with torch.no_grad():
        torch.nn.init.normal_(module.proj_out.weight)
        for attention in (module.attn1, module.attn2):
            for projection in (attention.to_q, attention.to_k):
                projection.weight.copy_(torch.eye(24) * 40)
        for norm in (module.norm1, module.norm2):  # queries are positions alone
            norm.weight.zero_()
        embedding = torch.nn.Embedding(3, 24).requires_grad_(False)
        embedding.weight *= 0.05
        positions = sinusoidal_positions(torch.arange(6), 24)
        hidden = torch.randn(6, 24, 4, 5)
        before = module(hidden, embedding(torch.tensor([[0, 1, 0, 0, 0, 0]])) + positions, 6)
        after = module(hidden, embedding(torch.tensor([[0, 0, 0, 0, 1, 0]])) + positions, 6)
    moved = (before - after).abs().amax(dim=(1, 2, 3))
    assert moved[[1, 4]].min() > 100 * moved[[0, 2, 3, 5]].max()


def test_moving_a_beat_moves_the_prediction_of_the_whole_model(networks, tiny):
    batch = tiny.batch(batch=1)
    early = predict(networks, batch, beats=torch.tensor([[1, 0, 0, 0, 0, 0]]))
    late = predict(networks, batch, beats=torch.tensor([[0, 0, 0, 0, 0, 1]]))
    assert not torch.allclose(early, late, atol=1e-4)


def test_music_is_heard_through_its_times(networks, tiny):
    batch = tiny.batch(batch=1)
    shifted = predict(networks, batch, music_positions=batch["music_positions"] + 2)
    assert not torch.allclose(shifted, predict(networks, batch), atol=1e-4)


def test_each_video_may_have_times_of_its_own(networks, tiny):
    batch = tiny.batch(batch=2)
    times = torch.stack([batch["music_positions"], batch["music_positions"] + 2])
    together = predict(networks, batch, music_positions=times)
    for place, own in enumerate(times):
        torch.testing.assert_close(together[place], predict(networks, batch, music_positions=own)[place])


def test_positions_have_no_longest_length_and_tokens_without_time_get_none():
    """AnimateDiff's saved tables end at 24 or 32; K + M is 50."""
    table = sinusoidal_positions(torch.arange(200), 64)
    distances = torch.cdist(table, table) + torch.eye(200) * 9
    assert distances.min() > 0.5
    assert torch.equal(sinusoidal_positions(torch.tensor([torch.nan]), 64), torch.zeros(1, 64))
    half = torch.tensor(0.5)
    torch.testing.assert_close(sinusoidal_positions(half[None], 2), torch.stack([half.sin(), half.cos()])[None])


def test_no_position_table_is_saved(tiny):
    assert not [key for key in tiny.unet().state_dict() if key.endswith(".pe")]
