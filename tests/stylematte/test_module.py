"""Training: resume equals unbroken, two processes equal one, what diverges says so, what is averaged is averaged."""

import math
import warnings
from dataclasses import replace
from datetime import timedelta

import lightning.pytorch as pl
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.utils.data import DataLoader, Dataset

from stylematte.averaging import update_ema
from stylematte.config import (
    BackboneConfig,
    DdcBorder,
    DdcConfig,
    DetailConfig,
    FpnConfig,
    MatterFitConfig,
    MatterLossConfig,
    ReleasedConfig,
)
from stylematte.module import Diverged, MatterModule, ema_decay, learning_rate_factor
from stylematte.networks.start import build_network
from stylematte.networks.weights import save_matter
from stylematte.parameter_groups import parameter_groups
from stylematte.rgba import MattingBatch, composite, trimap_from_alpha
from stylematte.sampling import MixtureSampler, generator_at

SWIN = {"embed_dim": 8, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2], "window_size": 4, "drop_path_rate": 0.3}
NETWORK = FpnConfig(backbone=BackboneConfig(kwargs=SWIN), channels=8)
LOSSES = {"l1": 1.0, "laplacian": 0.5, "gradient": 0.5, "composition": 1.0, "known": 1.0, "ddc": 2.0}
DDC = DdcConfig(window=5, neighbours=5, border=DdcBorder.exclude, include_self=True, warmup=4)
FIT = MatterFitConfig(steps=8, lr=1e-2, warmup=2, ema=0.9, losses=MatterLossConfig.only(**LOSSES), ddc=DDC)


def disc(seed, size=32):
    """A bright disc at a random place before dark noise: what MattingBatch holds."""
    g = generator_at("disc", seed)
    centre = torch.rand(2, generator=g) * size
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    alpha = (8 - ((y - centre[0]) ** 2 + (x - centre[1]) ** 2).sqrt()).clamp(0, 1)[None]
    foreground = 0.7 + 0.3 * torch.rand(3, size, size, generator=g)
    background = 0.3 * torch.rand(3, size, size, generator=g)
    trimap = trimap_from_alpha(alpha[None], 2)[0]
    one, none = torch.tensor(1.0), torch.tensor(0.0)
    nothing = torch.full_like(trimap, 0.5)
    return (
        composite(foreground, alpha, background),
        alpha,
        foreground,
        background,
        trimap,
        one,
        one,
        none,
        nothing,
        one[None, None, None],
    )


class Discs(Dataset):
    def __len__(self):
        return 12

    """Every other one has a trimap alone."""

    def __getitem__(self, draw):
        sample = MattingBatch(*disc(draw.index))
        return sample._replace(known_alpha=torch.tensor(float(draw.index % 2)))


def batch_of(count):
    return MattingBatch(*(torch.stack(part) for part in zip(*(disc(i) for i in range(count)), strict=True)))


def trainer(folder, epochs):
    return pl.Trainer(
        max_epochs=epochs, accelerator="cpu", devices=1, logger=False, enable_progress_bar=False,
        enable_model_summary=False, use_distributed_sampler=False, default_root_dir=folder,
        callbacks=[pl.callbacks.ModelCheckpoint(folder, save_last=True, save_on_train_epoch_end=True)],
    )  # fmt: skip


def fit(folder, epochs, resume=None, network=NETWORK):
    module = MatterModule(network, FIT, seed=5)
    sampler = MixtureSampler([12], [4], steps=4, seed=5)
    run = trainer(folder, epochs)
    run.fit(module, DataLoader(Discs(), batch_sampler=sampler, num_workers=0), ckpt_path=resume)
    return module, run


def test_resumed_fit_equals_the_unbroken_one(tmp_path):
    """2 ticks against 1 tick, a checkpoint, fresh objects, 1 tick: bit for bit, drop-path included."""
    unbroken, run = fit(tmp_path / "a", 2)
    assert run.global_step == 8
    fit(tmp_path / "b", 1)
    torch.rand(17)  # history of the global generator must not matter
    resumed, _ = fit(tmp_path / "b", 2, resume=str(tmp_path / "b" / "last.ckpt"))
    state = unbroken.state_dict()
    assert {k.split(".")[0] for k in state} == {"network", "ema"}
    assert [k for k, v in resumed.state_dict().items() if not v.equal(state[k])] == []
    assert resumed.collapse.state == unbroken.collapse.state
    assert resumed.collapse.state["steps"] == 8


def test_it_learns_and_logs_named_terms(tmp_path):
    start = MatterModule(NETWORK, FIT, seed=5)
    module, run = fit(tmp_path, 2)
    names = {f"loss/{name}" for name in (*LOSSES, "ddc_excess", "total")} | {"lr", "grad_norm"}
    assert names <= run.logged_metrics.keys()
    batch = batch_of(4)
    with torch.no_grad():
        before, after = start.eval().weighted_loss(batch)[0], module.eval().weighted_loss(batch)[0]
    assert after < 0.8 * before


def test_a_fit_starts_from_seed_alone_or_from_a_saved_matter(tmp_path):
    first, again, other = (MatterModule(NETWORK, FIT, seed) for seed in (1, 1, 2))
    weight = first.network.fpn.head.weight
    assert weight.equal(again.network.fpn.head.weight)
    assert not weight.equal(other.network.fpn.head.weight)
    save_matter(tmp_path, first.ema, {})
    warm = MatterModule(NETWORK, FIT, 2, init_from=str(tmp_path))
    assert weight.equal(warm.network.fpn.head.weight)
    assert weight.equal(warm.ema.fpn.head.weight)
    assert warm.network.training
    assert warm.network.fpn.head.weight.requires_grad
    with pytest.raises(ValueError, match="channels is 8, the config asks for 16"):
        MatterModule(replace(NETWORK, channels=16), FIT, 2, init_from=str(tmp_path))


def test_the_start_of_a_fit_silences_no_warning_of_the_process():
    before = list(warnings.filters)
    MatterModule(NETWORK, FIT, 1).on_fit_start()
    assert warnings.filters == before


def test_weights_of_samples():
    """Weight 0 removes a sample; equal weights of any size are the plain mean."""
    module = MatterModule(NETWORK, FIT, 0).eval()
    batch = batch_of(4)
    with torch.no_grad():
        total = module.weighted_loss(batch)[0]
        torch.testing.assert_close(module.weighted_loss(batch._replace(weight=torch.full((4,), 7.0)))[0], total)
        half = module.weighted_loss(batch._replace(weight=torch.tensor([1.0, 1.0, 0.0, 0.0])))[0]
        torch.testing.assert_close(half, module.weighted_loss(MattingBatch(*(v[:2] for v in batch)))[0])


def test_the_loss_is_the_weighted_mean_over_samples_of_both_kinds():
    module = MatterModule(NETWORK, replace(FIT, ddc=replace(DDC, warmup=0)), 0).eval()
    batch = uneven_batch()
    with torch.no_grad():
        loss, named = module.weighted_loss(batch)
        alone = [module.weighted_loss(MattingBatch(*(v[i : i + 1] for v in batch)))[0] for i in range(4)]
        early = MatterModule(NETWORK, FIT, 0).eval().weighted_loss(batch)[0]
    torch.testing.assert_close(loss, (torch.stack(alone) * batch.weight).sum() / batch.weight.sum())
    torch.testing.assert_close(named["total"], loss)
    share = 0.75 / batch.weight.sum()
    torch.testing.assert_close(loss - early, share * 2.0 * (1 - 1 / 4) * named["ddc"])  # step 0 of a warm-up of 4


def gradients(module, batch):
    loss, named = module.weighted_loss(batch)
    loss.backward()
    module.on_after_backward()
    return torch.cat([p.grad.flatten() for p in module.network.parameters()]), named


def uneven_batch():
    """Places 0 and 2 have an alpha, 1 and 3 a trimap alone: one rank of two gets all of a kind."""
    kinds = torch.tensor([1.0, 0.0, 1.0, 0.0])
    return batch_of(4)._replace(weight=torch.tensor([1.0, 0.25, 2.0, 0.5]), known_alpha=kinds)


SEMANTIC = DetailConfig(backbone=BackboneConfig("mobilenetv3_small_050"), channels=16, detail_channels=4)


def semantic_gradients(rows):
    """Of a fit whose semantic head learns from labelled pictures alone."""
    fit = replace(FIT, losses=MatterLossConfig.only(l1=1.0, semantic=1.0, known=1.0))
    module = MatterModule(SEMANTIC, fit, 0).eval()
    return gradients(module, MattingBatch(*(v[rows] for v in uneven_batch())))


def one_of_two(rank, folder):
    """What each rank does: its gradient and terms, and what it says when rank 1 alone has a nan, into a file."""
    wait = timedelta(seconds=300)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2, timeout=wait)
    try:
        module = MatterModule(NETWORK, FIT, 0).eval()  # eval: without drop-path, which each rank draws for itself
        gradient, named = gradients(module, MattingBatch(*(v[rank::2] for v in uneven_batch())))
        semantic, _ = semantic_gradients(slice(rank, None, 2))
        broken = torch.full((4,), math.nan if rank == 1 else 1.0)
        with pytest.raises(Diverged) as caught:
            module._check_finite(module.weighted_loss(uneven_batch()._replace(weight=broken))[1])
        torch.save((gradient, named, str(caught.value), semantic), f"{folder}/out.{rank}")
    finally:
        dist.destroy_process_group()


def test_two_processes_give_the_gradient_of_one(tmp_path):
    """Ranks with different weight sums, one without a labelled picture for its semantic head; and a nan on one rank
    stops both with the same words."""
    other = mp.get_context("spawn").Process(target=one_of_two, args=(1, str(tmp_path)))
    other.start()
    one_of_two(0, str(tmp_path))
    other.join()
    expected, named = gradients(MatterModule(NETWORK, FIT, 0).eval(), uneven_batch())
    of_semantic, _ = semantic_gradients(slice(None))
    for rank in range(2):
        gradient, ranks_named, verdict, semantic = torch.load(f"{tmp_path}/out.{rank}", weights_only=True)
        torch.testing.assert_close(gradient, expected, atol=1e-6, rtol=1e-4)
        torch.testing.assert_close(semantic, of_semantic, atol=1e-6, rtol=1e-3)
        torch.testing.assert_close(ranks_named, named)
        assert verdict == "loss term 'l1' became nan at step 0"


def test_divergence_names_the_term(tmp_path):
    class Broken(Discs):
        def __getitem__(self, draw):
            sample = super().__getitem__(draw)
            return sample._replace(foreground=sample.foreground * math.inf)

    module = MatterModule(NETWORK, FIT, 0)
    loader = DataLoader(Broken(), batch_sampler=MixtureSampler([12], [4], steps=4, seed=5))
    with pytest.raises(Diverged, match=r"loss term 'composition' became (nan|inf) at step 0"):
        trainer(tmp_path, 1).fit(module, loader)


def test_schedule():
    factors = [learning_rate_factor(step, 4, 12) for step in range(13)]
    assert factors[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert factors[8] == pytest.approx((1 + 0.01) / 2)
    assert factors[12] == pytest.approx(0.01) == learning_rate_factor(99, 4, 12)
    assert learning_rate_factor(0, 0, 10) == 1


def test_ema_closed_form():
    assert [ema_decay(t, 0.5) for t in (1, 2, 100)] == [2 / 11, 3 / 12, 0.5]
    average, current = torch.nn.BatchNorm1d(3), torch.nn.BatchNorm1d(3)
    torch.nn.init.constant_(average.weight, 1.0)
    torch.nn.init.constant_(current.weight, 3.0)
    current.running_mean.fill_(8.0)
    current.num_batches_tracked.fill_(5)
    update_ema(average, current, 0.75)
    assert average.weight.tolist() == [1.5] * 3
    assert average.running_mean.tolist() == [2.0] * 3  # 3/4 of 0, 1/4 of 8
    assert average.running_var.tolist() == [1.0] * 3
    assert average.num_batches_tracked == 5


def test_norms_biases_and_position_tables_do_not_decay():
    network = MatterModule(NETWORK, FIT, 0).network
    decay, keep = parameter_groups(network, MatterFitConfig(weight_decay=0.1))
    assert (decay["weight_decay"], keep["weight_decay"]) == (0.1, 0.0)
    assert all(p.ndim > 1 for p in decay["params"])
    assert sum(p.ndim > 1 for p in keep["params"]) == 4  # one relative position table per swin block
    assert len(decay["params"]) + len(keep["params"]) == len(list(network.parameters()))


def test_a_fit_without_any_loss_is_refused():
    with pytest.raises(
        ValueError,
        match="expected one of l1, laplacian, gradient, composition, semantic, known, ddc, closed_form above 0",
    ):
        MatterModule(NETWORK, replace(FIT, losses=MatterLossConfig.only()), 0)


@pytest.mark.parametrize("options", [ReleasedConfig, DetailConfig])
def test_other_networks_learn_and_are_gone_on_with(tmp_path, options):
    swin = dict(embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=4, drop_path_rate=0.0)
    network = options(backbone=BackboneConfig(kwargs=swin), channels=64)
    built = build_network(network, seed=3)
    assert built.config == network
    save_matter(tmp_path, built, meta={"size": 32})
    loaded = build_network(network, seed=4, init_from=str(tmp_path))
    for one, other in zip(built.parameters(), loaded.parameters(), strict=True):
        assert torch.equal(one, other)
    with pytest.raises(ValueError, match="channels is 64, the config asks for 96"):
        build_network(replace(network, channels=96), seed=4, init_from=str(tmp_path))
    with pytest.raises(ValueError, match=r"variant is '(released|detail)', the config asks for 'fpn'"):
        build_network(FpnConfig(), seed=4, init_from=str(tmp_path))
    other = replace(network, backbone=BackboneConfig(kwargs={**swin, "window_size": 8}))
    with pytest.raises(ValueError, match=r"backbone.kwargs.window_size is 4, the config asks for 8"):
        build_network(other, seed=4, init_from=str(tmp_path))


def test_switches_may_change_on_the_way(tmp_path):
    network = DetailConfig(backbone=BackboneConfig("resnet10t"), channels=16)
    save_matter(tmp_path, build_network(network, seed=3), meta={"size": 32})
    gone_on = build_network(replace(network, gradient_checkpointing=True), seed=4, init_from=str(tmp_path))
    assert gone_on.config.gradient_checkpointing
