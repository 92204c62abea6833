"""AST cut to the clip's length."""

import numpy as np
import pytest
import torch
from transformers import ASTConfig, ASTFeatureExtractor, ASTModel

from musedance.conditions.music import mel_spectrogram
from musedance.models import MusicEncoder

AST = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 32}


@pytest.fixture
def encoder() -> MusicEncoder:
    torch.manual_seed(0)
    encoder = MusicEncoder(AST).eval()
    torch.nn.init.normal_(encoder.ast.embeddings.position_embeddings)
    return encoder


def test_at_full_length_it_is_ast_itself(encoder):
    ast = ASTModel(ASTConfig(**AST)).eval()
    ast.load_state_dict(encoder.ast.state_dict())
    x = torch.randn(2, 1024, 128)
    with torch.no_grad():
        assert torch.equal(encoder(x), ast(x).last_hidden_state)


def test_a_clip_keeps_the_positions_of_its_own_patches(encoder):
    """Equal to an AST built for the clip's length whose table holds the same rows: frequency by frequency."""
    frames, times = 398, 39
    short = ASTModel(ASTConfig(**AST, max_length=frames)).eval()
    state = encoder.ast.state_dict()
    table = state["embeddings.position_embeddings"]
    grid = table[:, 2:].reshape(1, 12, 101, -1)[:, :, :times].reshape(1, 12 * times, -1)
    state["embeddings.position_embeddings"] = torch.cat([table[:, :2], grid], dim=1)
    short.load_state_dict(state)
    x = torch.randn(1, frames, 128)
    with torch.no_grad():
        torch.testing.assert_close(encoder(x), short(x).last_hidden_state)


def test_four_seconds_are_470_tokens(encoder):
    mel = mel_spectrogram(ASTFeatureExtractor(), np.random.default_rng(0).normal(size=64000).astype(np.float32) * 0.1)
    assert mel.shape == (1, 398, 128)
    assert encoder(mel).shape == (1, 470, 24)
    assert encoder.token_times(398).shape == (470,)


@pytest.mark.parametrize("second", [0.5, 1.7, 3.2])
def test_a_click_is_in_the_tokens_that_say_they_are_there(encoder, second):
    """Between their middles, 0.1 s apart, lies the patch that hears it best."""
    wave = np.zeros(64000, np.float32)
    wave[round(second * 16000)] = 1.0
    energy = mel_spectrogram(ASTFeatureExtractor(), wave)[0].mean(1)
    times = encoder.token_times(len(energy))
    assert torch.isnan(times[:2]).all()
    starts = torch.arange(39) * 10
    heard = torch.stack([energy[s : s + 16] for s in starts]) @ torch.hann_window(18, periodic=False)[1:-1]
    grid = times[2:].reshape(12, 39)
    assert torch.equal(grid, grid[:1].expand_as(grid))
    assert abs(float(grid[0, heard.argmax()]) - second) <= 0.05 + 1e-6


def test_clips_outside_asts_table_are_refused(encoder):
    for frames in (15, 1025):
        with pytest.raises(ValueError, match="16 to 1024"):
            encoder(torch.zeros(1, frames, 128))
