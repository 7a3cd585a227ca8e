"""The averaged generator's decay, and the controller of the augmentation probability."""

import pytest
import torch
from torch import nn

from stylematte.averaging import update_ema
from stylemattegan.training.ada import AdaController
from stylemattegan.training.ema import ema_beta
from tests.fixture_files import about


def test_beta_equals_the_reference():
    for case in about("stylegan3/data_and_ema")["ema_beta"]:
        beta = ema_beta(case["batch"], case["cur_nimg"], case["ema_kimg"], case["ema_rampup"])
        assert beta == pytest.approx(case["beta"], rel=1e-12)


def test_half_life_is_counted_in_pictures():
    """After the half-life, half of the start value is left, whatever the batch."""
    assert ema_beta(10, 0, 1.0, None) ** 100 == pytest.approx(0.5)
    assert ema_beta(50, 0, 1.0, None) ** 20 == pytest.approx(0.5)


def test_first_step_copies_and_other_buffers_are_copied():
    source, average = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    nn.init.constant_(source.weight, 5.0)
    source.running_mean.fill_(2.0)
    update_ema(average, source, ema_beta(16, 0, 5.0))
    assert torch.equal(average.weight, source.weight)
    assert torch.equal(average.running_mean, source.running_mean)
    nn.init.constant_(source.weight, 9.0)
    source.running_mean.fill_(4.0)
    update_ema(average, source, 0.75)
    assert average.weight.tolist() == [6.0] * 3  # 9 + 0.75 (5 - 9)
    assert average.running_mean.tolist() == [2.5] * 3  # statistics are averaged as weights are: 4 + 0.75 (2 - 4)
    plain, copied = nn.Linear(1, 1), nn.Linear(1, 1)
    plain.register_buffer("w_avg", torch.tensor([4.0]))
    copied.register_buffer("w_avg", torch.tensor([2.0]))
    update_ema(copied, plain, 0.75)
    assert copied.w_avg.tolist() == [4.0]


def controller(**changes):
    return AdaController(**(dict(p=0.1, target=0.6, kimg=1.0, highest=0.8) | changes))


def show(ada, logits, steps, batch=25):
    for step in range(steps):
        ada.observe(torch.tensor(logits))
        ada.update(batch, step)


def test_p_moves_towards_the_target():
    ada = controller()
    show(ada, [1.0, 2.0, 3.0, 4.0], 3)
    assert ada.p == 0.1  # the interval of 4 steps is not over
    ada = controller()
    show(ada, [1.0, 2.0, 3.0, 4.0], 4)
    assert ada.sign == 1.0
    assert ada.p == pytest.approx(0.1 + 25 * 4 / 1000)
    ada = controller(p=0.5)
    show(ada, [1.0, -2.0, 3.0, -4.0], 8)
    assert ada.sign == 0.0
    assert ada.p == pytest.approx(0.5 - 2 * 0.1)


def test_p_stays_between_zero_and_the_highest():
    ada = controller()
    show(ada, [1.0], 400)
    assert ada.p == 0.8
    show(ada, [-1.0], 400)
    assert ada.p == 0.0


def test_state_of_an_unfinished_interval():
    one, other = controller(), controller(p=0.7)
    show(one, [1.0, -1.0, 1.0], 6)
    other.load_state_dict(one.state_dict())
    for ada in (one, other):
        for step in (6, 7):
            ada.observe(torch.tensor([1.0]))
            ada.update(25, step)
    assert (one.p, one.sign) == (other.p, other.sign)
    assert one.sign == pytest.approx((1 / 3 + 1 / 3 + 1 + 1) / 4)
