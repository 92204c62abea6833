"""The one description of a training run: every key, its type and its default."""

from dataclasses import dataclass, field

from omegaconf import MISSING


@dataclass
class DataConfig:
    """`data.*`: where the clips come from.

    Attributes:
        root: dataset, a folder or shards.
        cache: feature cache of the dataset for this model (`musedance dataset cache`); null = encode during training.
        workers: processes that read, per GPU.
        video_backend: pyav or decord.
        max_failure_share: share of the clips that may be unreadable, 0 to 1.
    """

    root: str = MISSING
    cache: str | None = None
    workers: int = 4
    video_backend: str = "pyav"
    max_failure_share: float = 0.05


@dataclass
class ClipsConfig:
    """`clips.*`: what the clips are brought to; null = as the model's folder says. The trained folder says it then.

    Attributes:
        size: side of a square with as many pixels as a canvas; clips keep their own shape.
        fps: frames per second.
        num_frames: K, frames of a segment.
    """

    size: int | None = None
    fps: int | None = None
    num_frames: int | None = None


@dataclass
class DropConfig:
    """`drop.*`: shares of samples that go without, one draw a sample; see `musedance.datasets.collator.DropRates`."""

    everything: float = 0.10
    text: float = 0.05
    reference: float = 0.05
    music: float = 0.05
    beats: float = 0.05
    music_and_beats: float = 0.05
    densepose: float = 0.5


@dataclass
class ObjectiveConfig:
    """`objective.*`: see `musedance.training.objective`.

    Attributes:
        prediction_type: v_prediction or epsilon.
        zero_terminal_snr: rescale the betas so that the last step is pure noise; needs v_prediction.
        noise_offset: deviation of the noise that a whole channel shares; 0 = none.
        min_snr_gamma: limit of the min-SNR weights; null = all weights are 1.
        snr_power: weights that grow with the SNR to this power, instead of min-SNR weights; needs v_prediction.
        motion_noise: stage 2: largest deviation of the noise on motion frames.
    """

    prediction_type: str = "v_prediction"
    zero_terminal_snr: bool = True
    noise_offset: float = 0.05
    min_snr_gamma: float | None = 5.0
    snr_power: float | None = None
    motion_noise: float = 0.1


@dataclass
class OptimConfig:
    """`optim.*`. AdamW without weight decay is the paper's Adam.

    Attributes:
        name: adamw, adamw8bit (bitsandbytes, CUDA) or muon (pytorch-optimizer), for training from random weights.
        lr: learning rate.
        betas: two numbers.
        eps: epsilon.
        weight_decay: 0 = Adam.
        max_grad_norm: gradients are scaled down to this norm.
        schedule: constant, constant_with_warmup, linear, cosine, polynomial: diffusers' names.
        warmup_steps: steps over which the learning rate rises from 0.
    """

    name: str = "adamw"
    lr: float = 1e-5
    betas: list[float] = field(default_factory=lambda: [0.9, 0.999])
    eps: float = 1e-8
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    schedule: str = "constant"
    warmup_steps: int = 0


@dataclass
class MemoryConfig:
    """`memory.*`: what trades memory, speed and precision.

    Attributes:
        precision: no (float32), bf16 or fp16 autocast; the weights that are trained stay float32. auto is bf16 where
            the hardware has it, else no.
        gradient_checkpointing: compute activations twice rather than keep them.
        attention: sdpa, xformers (CUDA), or math: sdpa without fused kernels, for short sequences on a CPU.
        compile: torch.compile of the repeated blocks.
    """

    precision: str = "bf16"
    gradient_checkpointing: bool = True
    attention: str = "sdpa"
    compile: bool = False


@dataclass
class CheckpointConfig:
    """`checkpoint.*`: every so many steps, and how many are kept."""

    every: int = 1000
    total_limit: int = 3


@dataclass
class ValidationConfig:
    """`validation.*`: videos of held-out clips, generated with the weights' moving average.

    Attributes:
        every: steps; 0 = never.
        samples: how many clips.
        steps: of sampling.
        guidance_scale: see `MuseDancePipeline`.
    """

    every: int = 1000
    samples: int = 4
    steps: int = 25
    guidance_scale: float = 3.5


@dataclass
class LogConfig:
    """`log.*`.

    Attributes:
        every: steps between two rows.
        trackers: accelerate's names (tensorboard, wandb, ...); may be empty.
    """

    every: int = 10
    trackers: list[str] = field(default_factory=lambda: ["tensorboard"])


@dataclass
class HealthConfig:
    """`health.*`: when a step is skipped, and when the run stops.

    Attributes:
        explosion: a loss so many times the running mean is skipped.
        max_skipped: so many skipped steps in a row end the run.
    """

    explosion: float = 20.0
    max_skipped: int = 10


@dataclass
class TrainingConfig:
    """Keys of both stages.

    Attributes:
        model: pipeline folder to start from.
        output: folder of the run; the trained pipeline folder is its `model`.
        seed: of everything that is drawn.
        steps: optimiser steps.
        batch_size: samples a GPU and pass.
        accumulation: passes an optimiser step.
        ema_decay: of the moving average of the trained weights, which is what is validated and saved; null = none.
        save_dtype: of the trained folder's weights: float32, bfloat16 or float16.
    """

    model: str = MISSING
    output: str = MISSING
    seed: int = 0
    steps: int = 30_000
    batch_size: int = MISSING
    accumulation: int = 1
    ema_decay: float | None = 0.9999
    save_dtype: str = "float32"
    data: DataConfig = field(default_factory=DataConfig)
    clips: ClipsConfig = field(default_factory=ClipsConfig)
    drop: DropConfig = field(default_factory=DropConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    log: LogConfig = field(default_factory=LogConfig)
    health: HealthConfig = field(default_factory=HealthConfig)


@dataclass
class Stage1Config(TrainingConfig):
    """Stage 1: appearance, from pairs of frames.

    Attributes:
        window: w, frames: the target lies less than w from the reference.
    """

    batch_size: int = 12
    window: int = 12


@dataclass
class LoraConfig:
    """`lora.*`: train low-rank additions to the motion modules instead of the modules.

    Attributes:
        rank: null = no LoRA, the modules are trained whole.
        alpha: the additions are scaled by alpha / rank.
        dropout: of what enters the additions.
    """

    rank: int | None = None
    alpha: float = 16.0
    dropout: float = 0.0


@dataclass
class Stage2Config(TrainingConfig):
    """Stage 2: motion, from clips with music.

    Attributes:
        modules: what is trained, some of music, beat and motion. The others are not in the network at all, nor in the
            trained folder: the paper's ablation.
        music_shift: share of samples whose music is that of another part of the clip, so that the beats tell when.
        freeze_spatial: the paper's stage 2; false trains ReferenceNet and spatial weights too.
        frozen_dtype: of the spatial weights, where they are not trained: float32, bfloat16 or float16.
    """

    batch_size: int = 2
    modules: list[str] = field(default_factory=lambda: ["music", "beat", "motion"])
    music_shift: float = 0.0
    freeze_spatial: bool = True
    frozen_dtype: str = "float32"
    lora: LoraConfig = field(default_factory=LoraConfig)
