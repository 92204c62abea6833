"""The training loop that both stages share."""

import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from torch import Tensor

from musedance.datasets.collator import DropRates
from musedance.datasets.encode import Encoders, encode_batch
from musedance.datasets.loader import ClipLoader, make_loader
from musedance.datasets.stage1 import WINDOW
from musedance.errors import InputError
from musedance.models import MuseDanceNetworks
from musedance.training.checkpoint import Checkpoints, TrainingState
from musedance.training.config import Stage1Config, Stage2Config, TrainingConfig
from musedance.training.config_file import config_yaml
from musedance.training.curves import draw_curves
from musedance.training.data_check import check_clips
from musedance.training.export import export_folder, trained_weights
from musedance.training.health import Health, gather_ids
from musedance.training.log import METRICS, TrainingLog
from musedance.training.moving_average import MovingAverage
from musedance.training.objective import Losses, Objective
from musedance.training.optimizer import make_optimizer, make_schedule, restore_schedule, schedule_state
from musedance.training.run_folder import CHECKPOINTS, MODEL, write_run
from musedance.training.scheduler import check_same_schedule, training_scheduler
from musedance.training.starting_point import training_spec
from musedance.training.stop import StopSignal
from musedance.training.trackers import init_trackers
from musedance.training.trainable import train_mode, trained_parameters
from musedance.training.validation import Validator, log_validation
from musedance.weights.fingerprint import fingerprint


class Trainer:
    """Trains what requires a gradient.

    Args:
        config: the run's.
        accelerator: the run's.
        networks: float32, with `requires_grad` set.
        stage: 1 or 2.
    """

    def __init__(
        self, config: TrainingConfig, accelerator: Accelerator, networks: MuseDanceNetworks, *, stage: int
    ) -> None:
        self.config, self.accelerator, self.stage = config, accelerator, stage
        self.model, self.folder = Path(config.model), Path(config.output)
        self.spec = training_spec(self.model, config.clips)
        if stage == 2:
            check_same_schedule(self.model, config.objective)
        self.scheduler = training_scheduler(self.model, config.objective)
        self.objective = Objective(self.scheduler, config.objective)
        self.loader = self._make_loader(start=0)  # what is wrong with the data is found before the networks are moved
        check_clips(self.loader.samples.clips, self.spec, stage)
        self.validator = Validator(
            config, stage=stage, scheduler=self.scheduler, spec=self.spec, folder=self.folder / "validation"
        )
        self.encoders = self._load_encoders()

        prepare_networks(networks, config)
        optimizer = make_optimizer(trained_parameters(networks).values(), config.optim)
        self.schedule = make_schedule(optimizer, config.optim, config.steps)  # not prepared: accelerate would step it
        self.networks, self.optimizer = accelerator.prepare(networks, optimizer)  # once for each process
        self.trained = trained_parameters(self.plain_networks)
        self.average = None if config.ema_decay is None else MovingAverage(self.trained, config.ema_decay)

        self.health = Health(config.health, main_process=accelerator.is_main_process)
        self.checkpoints = Checkpoints(
            accelerator, self.folder / CHECKPOINTS, config_yaml(config), config.checkpoint.total_limit
        )
        self.state = TrainingState(
            world_size=accelerator.num_processes, batch_size=config.batch_size, start=fingerprint(self.model)
        )

    @property
    def plain_networks(self) -> MuseDanceNetworks:
        """Without the wrapper of DDP or DeepSpeed."""
        return self.accelerator.unwrap_model(self.networks)

    def fit(self, checkpoint: Path | None = None) -> bool:
        """Train to the last step, from a checkpoint if one is given; every rank calls this.

        Returns:
            False if the run was asked to stop (SIGTERM) and went no further than its next checkpoint.

        Raises:
            InputError: the checkpoint, the data or the disk is at fault.
            TrainingStopped: the loss is beyond help.
        """
        log = self._start(checkpoint)
        batches = iter(self.loader)
        train_mode(self.plain_networks)
        with StopSignal() as stop:
            while self.state.step < self.config.steps:
                self._step(batches, log)
                step, last = self.state.step, self.state.step == self.config.steps
                stopping = stop.agreed(self.accelerator)
                if log.due(step):
                    log.write(step)
                with log.paused():
                    if last or stopping or step % self.config.checkpoint.every == 0:
                        self._save(log)
                    if not stopping and (self.validator.due(step) or (last and self.validator.enabled)):
                        self._validate()
                if stopping:
                    break
        log.close()
        return self.state.step >= self.config.steps

    def export(self) -> Path:
        """Write the trained pipeline folder, with the moving average's weights; every rank calls this."""
        output = self.folder / MODEL
        with self._averaged():
            weights = trained_weights(self.accelerator, self.plain_networks)
        if self.accelerator.is_main_process:
            export_folder(
                self.model,
                weights,
                self.scheduler,
                stage=self.stage,
                spec=self.spec,
                dtype=self.config.save_dtype,
                provenance=f"stage {self.stage}, {self.state.step} steps from {self.state.start}",
                lora=getattr(self.config, "lora", None),
                modules=getattr(self.config, "modules", None),
                freeze_spatial=getattr(self.config, "freeze_spatial", True),
                output=output,
            )
            self._draw_curves()
        self.accelerator.wait_for_everyone()
        return output

    def _step(self, batches: Iterator[dict[str, Any]], log: TrainingLog) -> None:
        """One optimiser step, which is skipped on all ranks if the loss or the gradient of one is beyond use."""
        reason, ids, waited = None, [], 0.0
        for _ in range(self.config.accumulation):
            asked = time.perf_counter()
            batch = next(batches)
            waited += time.perf_counter() - asked
            ids += batch["ids"]
            self.state.batches += 1
            with self.accelerator.accumulate(self.networks):
                losses = self._losses(batch)
                of_ranks = self.accelerator.gather(losses.weighted.detach()[None]).tolist()
                reason = reason or self.health.check(of_ranks)
                if reason is None:
                    log.add_pass(losses)
                    self.accelerator.backward(losses.weighted)
                elif self.accelerator.distributed_type == DistributedType.DEEPSPEED:
                    # It steps by itself at the end of an accumulation, unless a gradient is not a number.
                    self.accelerator.backward(losses.weighted * math.nan)
        norm = None
        if reason is None:
            norm = self._clip()
            reason = self.health.check_gradient(norm, scaled=self.accelerator.scaler is not None)
        if reason is None:
            self.optimizer.step()
            if self.average is not None and not self.accelerator.optimizer_step_was_skipped:
                self.average.step()
        self.optimizer.zero_grad()
        self.schedule.step()
        self.state.step += 1
        log.add_step(
            self.state.step,
            grad_norm=norm,
            lr=float(self.schedule.get_last_lr()[0]),
            data_wait=waited,
            skipped=reason is not None,
        )
        self.health.record(self.state.step, reason, gather_ids(self.accelerator, ids) if reason else ids)

    def _losses(self, batch: dict[str, Any]) -> Losses:
        inputs = encode_batch(batch, self.accelerator.device, self.encoders)
        latents: Tensor = inputs.pop("latents")
        with self.accelerator.autocast():
            return self.objective(self.networks, latents, inputs, batch["noise_seeds"])

    def _clip(self) -> float:
        norm = self.accelerator.clip_grad_norm_(self.trained.values(), self.config.optim.max_grad_norm)
        return float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)

    def _validate(self) -> None:
        with self._averaged():
            result = self.validator.run(self.accelerator, self.plain_networks, self.state.step)
        log_validation(self.accelerator, result, self.state.step)
        self._draw_curves()

    def _draw_curves(self) -> None:
        if self.accelerator.is_main_process:
            draw_curves(self.folder / METRICS, self.folder / "curves.png")

    def _averaged(self) -> Any:
        return nullcontext() if self.average is None else self.average.swapped(self.plain_networks)

    def _save(self, log: TrainingLog) -> None:
        self.state.schedule, self.state.health = schedule_state(self.schedule), self.health.state_dict()
        self.state.log = log.state_dict()
        self.checkpoints.save(self.state, self.average)

    def _start(self, checkpoint: Path | None) -> TrainingLog:
        """Begin the run's files, or go on with them."""
        if checkpoint is not None:
            self._resume(checkpoint)
        write_run(self.config, self.accelerator)
        init_trackers(self.accelerator, self.config, step=self.state.step)
        log = TrainingLog(self.accelerator, self.folder, self.config.log, step=self.state.step, steps=self.config.steps)
        if self.state.log:
            log.load_state_dict(self.state.log)
        return log

    def _resume(self, checkpoint: Path) -> None:
        """Go on where the checkpoint was written; with another batch or number of ranks at the same sample."""
        state = self.checkpoints.load(checkpoint, self.average)
        if state.start != self.state.start:
            raise InputError(
                f"{self.model} is not the folder that {checkpoint} was trained from (its weights changed): the weights "
                "that are not trained are read from there"
            )
        samples = state.batches * state.batch_size * state.world_size
        self.state.step, self.state.log = state.step, state.log
        self.state.batches = samples // (self.config.batch_size * self.accelerator.num_processes)
        restore_schedule(self.schedule, state.schedule)
        self.health.load_state_dict(state.health)
        self.loader = self._make_loader(start=self.state.batches)

    def _make_loader(self, start: int) -> ClipLoader:
        config = self.config
        return make_loader(
            config.data.root,
            self.model,
            stage=self.stage,
            batch_size=config.batch_size,
            cache=config.data.cache,
            seed=config.seed,
            rank=self.accelerator.process_index,
            world_size=self.accelerator.num_processes,
            start=start,
            num_workers=config.data.workers,
            rates=DropRates(**vars(config.drop)),
            spec=self.spec,
            video_backend=config.data.video_backend,  # type: ignore[arg-type]
            max_failure_share=config.data.max_failure_share,
            window=config.window if isinstance(config, Stage1Config) else WINDOW,
            music_shift=config.music_shift if isinstance(config, Stage2Config) else 0.0,
        )

    def _load_encoders(self) -> Encoders | None:
        if self.config.data.cache is not None:
            return None
        dtypes = {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
        dtype = dtypes[self.accelerator.mixed_precision]
        return Encoders.from_folder(self.model, self.spec.fps, self.accelerator.device, dtype)


def prepare_networks(networks: MuseDanceNetworks, config: TrainingConfig) -> None:
    """Switch on what the config says of memory and speed."""
    if config.memory.compile:
        torch._dynamo.config.recompile_limit = (
            64  # one block, but many widths, with and without gradient; past it, eager
        )
    if config.memory.attention == "math":
        use_math_attention()
    for network in (networks.unet, networks.reference_net):
        if config.memory.gradient_checkpointing:
            network.enable_gradient_checkpointing()
        if config.memory.attention == "xformers":
            network.set_attention_backend("xformers")
        if config.memory.compile:
            network.compile_repeated_blocks()


def use_math_attention() -> None:
    """PyTorch's attention without its fused kernels, in the whole process: on CPUs these are slow in training."""
    torch.backends.cuda.enable_flash_sdp(False)  # in spite of the name these hold for CPUs too
    torch.backends.cuda.enable_mem_efficient_sdp(False)
    torch.backends.cuda.enable_cudnn_sdp(False)
    torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(True)  # or else it would compute in float32
