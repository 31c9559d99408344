"""Alternating optimizers: GANs, actor-critic, WGAN-GP."""

from __future__ import annotations

import pytest

GAN = """
import torch
torch.manual_seed(0)
G = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU(), torch.nn.Linear(4, 3))
D = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
opt_g = torch.optim.Adam(G.parameters(), lr=1e-3)
opt_d = torch.optim.Adam(D.parameters(), lr=1e-3)
bce = torch.nn.functional.binary_cross_entropy_with_logits
ones, zeros = torch.ones(4, 1), torch.zeros(4, 1)
"""


def test_gan_that_clears_each_network_before_its_own_turn(play):
    """D collects gradients from G's backward; they are cleared, and count for nobody."""
    played = play(
        GAN
        + """
for _ in range(3):
    opt_d.zero_grad()  # clear-d
    fake = G(torch.randn(4, 2))  # generate
    judged = D(torch.randn(4, 3))  # judge-real
    guessed = D(fake.detach())  # judge-fake
    loss_d = bce(judged, ones) + bce(guessed, zeros)  # loss-d
    loss_d.backward()  # backward-d
    opt_d.step()  # step-d
    opt_g.zero_grad()  # clear-g
    guessed = D(fake)  # judge-again
    loss_g = bce(guessed, ones)  # loss-g
    loss_g.backward()  # backward-g
    opt_g.step()  # step-g
"""
    )
    d = (
        "step opt_d 1: clear@clear-d forward@generate forward@judge-real forward@judge-fake loss@loss-d loss@loss-d "
        "backward@backward-d step@step-d"
    )
    g = "step opt_g 1: clear@clear-g forward@judge-again loss@loss-g backward@backward-g step@step-g"
    assert played.told() == [d, g] * 3
    assert played.rounds() == [["backward-d"], ["backward-g"]] * 3
    assert [u.discarded for u in played.main.updates] == [[]] * 6
    assert not played.main.unstepped


def test_gan_in_the_order_of_the_pytorch_example(play):
    """Two backwards for D, ``D.zero_grad()`` of the module; the gradients D gets from G are cleared next time."""
    played = play(
        GAN
        + """
for _ in range(2):
    D.zero_grad()  # clear-d
    bce(D(torch.randn(4, 3)), ones).backward()  # real
    fake = G(torch.randn(4, 2))  # generate
    bce(D(fake.detach()), zeros).backward()  # fake
    opt_d.step()  # step-d
    G.zero_grad()  # clear-g
    bce(D(fake), ones).backward()  # fool
    opt_g.step()  # step-g
"""
    )
    d = (
        "step opt_d 2: clear@clear-d forward@real loss@real backward@real forward@generate "
        "forward@fake loss@fake backward@fake step@step-d"
    )
    g = "step opt_g 1: clear@clear-g forward@fool loss@fool backward@fool step@step-g"
    assert played.told() == [d, g] * 2
    assert played.rounds() == [["real", "fake"], ["fool"]] * 2


def test_gan_that_trains_the_generator_first(play):
    """G's turn comes first, so D's gradients from it must be cleared before D's own turn."""
    played = play(
        GAN
        + """
for _ in range(2):
    opt_g.zero_grad()  # clear-g
    fake = G(torch.randn(4, 2))  # generate
    bce(D(fake), ones).backward()  # fool
    opt_g.step()  # step-g
    opt_d.zero_grad()  # clear-d
    (bce(D(torch.randn(4, 3)), ones) + bce(D(fake.detach()), zeros)).backward()  # judge
    opt_d.step()  # step-d
"""
    )
    assert [line.split(":")[0] for line in played.told()] == ["step opt_g 1", "step opt_d 1"] * 2
    assert played.rounds() == [["fool"], ["judge"]] * 2
    assert [u.discarded for u in played.main.updates] == [[]] * 4


@pytest.mark.parametrize("order", ["opt_d, opt_g", "opt_g, opt_d"])
def test_gan_that_clears_both_before_either_turn(play, order):
    played = play(
        GAN
        + f"""
for _ in range(2):
    fake = G(torch.randn(4, 2))
    for optimizer in ({order}):
        optimizer.zero_grad()
    (bce(D(torch.randn(4, 3)), ones) + bce(D(fake.detach()), zeros)).backward()  # judge
    opt_d.step()  # step-d
    for optimizer in ({order}):
        optimizer.zero_grad()
    bce(D(fake), ones).backward()  # fool
    opt_g.step()  # step-g
"""
    )
    assert played.rounds() == [["judge"], ["fool"]] * 2
    assert [played.owners(u) for u in played.main.updates] == ["opt_d", "opt_g"] * 2


def test_joint_backward_with_both_steps_after_it(play):
    """Two backwards, then two steps: G's backward fills D, too, and D's step really uses both."""
    played = play(
        GAN
        + """
for _ in range(2):
    opt_d.zero_grad(); opt_g.zero_grad()  # clear
    fake = G(torch.randn(4, 2))  # generate
    loss_g = bce(D(fake), ones)  # fool
    loss_g.backward()  # backward-g
    loss_d = bce(D(fake.detach()), zeros)  # judge
    loss_d.backward()  # backward-d
    opt_g.step()  # step-g
    opt_d.step()  # step-d
"""
    )
    assert played.rounds() == [["backward-g"], ["backward-g", "backward-d"]] * 2
    assert [played.owners(u) for u in played.main.updates] == ["opt_g", "opt_d"] * 2


def test_frozen_discriminator_during_the_generators_turn(play):
    played = play(
        GAN
        + """
for _ in range(2):
    D.requires_grad_(True)
    opt_d.zero_grad()  # clear-d
    with torch.no_grad():
        fake = G(torch.randn(4, 2))  # generate
    (bce(D(torch.randn(4, 3)), ones) + bce(D(fake), zeros)).backward()  # judge
    opt_d.step()  # step-d
    D.requires_grad_(False)
    opt_g.zero_grad()  # clear-g
    bce(D(G(torch.randn(4, 2))), ones).backward()  # fool
    opt_g.step()  # step-g
"""
    )
    assert played.rounds() == [["judge"], ["fool"]] * 2
    assert played.main.evaluations == []  # what G made for D belongs to D's round
    assert [[c.model for c in u.rounds[0].calls] for u in played.main.updates[:2]] == [
        ["m1", "m2", "m2"],
        ["m1", "m2"],
    ]


def test_wgan_gp_with_several_critic_steps(play):
    played = play(
        GAN
        + """
for _ in range(2):
    for _ in range(2):
        real, fake = torch.randn(4, 3), G(torch.randn(4, 2)).detach()  # generate
        mixed = (0.5 * real + 0.5 * fake).requires_grad_()
        score = D(mixed)  # mix
        (slope,) = torch.autograd.grad(score.sum(), mixed, create_graph=True)  # grad
        penalty = ((slope.norm(2, dim=1) - 1) ** 2).mean()
        loss = D(fake).mean() - D(real).mean() + penalty  # critic
        opt_d.zero_grad()  # clear-d
        loss.backward()  # backward-d
        opt_d.step()  # step-d
    opt_g.zero_grad()  # clear-g
    (-D(G(torch.randn(4, 2))).mean()).backward()  # fool
    opt_g.step()  # step-g
"""
    )
    d = (
        "step opt_d 1: forward@generate forward@mix grad forward@critic forward@critic clear@clear-d "
        "backward@backward-d step@step-d"
    )
    g = "step opt_g 1: clear@clear-g forward@fool forward@fool backward@fool step@step-g"
    assert played.told() == [d, d, g] * 2
    assert [len(u.rounds[0].gradients) for u in played.main.updates] == [1, 1, 0] * 2
    assert played.main.round_count == 6


ACTOR_CRITIC = """
import torch
torch.manual_seed(0)
actor, critic = torch.nn.Linear(4, 2), torch.nn.Linear(4, 1)
opt_a = torch.optim.Adam(actor.parameters(), lr=1e-3)
opt_c = torch.optim.Adam(critic.parameters(), lr=1e-3)
"""


def test_actor_critic_with_one_shared_loss(play):
    played = play(
        ACTOR_CRITIC
        + """
for _ in range(3):
    state, reward = torch.randn(8, 4), torch.randn(8)
    policy = torch.distributions.Categorical(logits=actor(state))  # act
    value = critic(state).squeeze(1)  # judge
    advantage = reward - value
    loss = -(policy.log_prob(policy.sample()) * advantage.detach()).mean() + advantage.pow(2).mean()
    opt_a.zero_grad()  # clear-a
    opt_c.zero_grad()  # clear-c
    loss.backward()  # backward
    opt_a.step()  # step-a
    opt_c.step()  # step-c
"""
    )
    a = "step opt_a 1: forward@act forward@judge clear@clear-a clear@clear-c backward step@step-a"
    c = "step opt_c 1: step@step-c"
    assert played.told() == [a, c] * 3
    updates = played.main.updates
    assert all(updates[i].rounds[0] is updates[i + 1].rounds[0] for i in (0, 2, 4))
    assert played.main.round_count == 3


def test_actor_critic_with_separate_losses(play):
    played = play(
        ACTOR_CRITIC
        + """
for _ in range(2):
    state, reward = torch.randn(8, 4), torch.randn(8)
    policy = torch.distributions.Categorical(logits=actor(state))  # act
    value = critic(state).squeeze(1)  # judge
    advantage = reward - value
    opt_c.zero_grad()  # clear-c
    advantage.pow(2).mean().backward()  # backward-c
    opt_c.step()  # step-c
    opt_a.zero_grad()  # clear-a
    (-(policy.log_prob(policy.sample()) * advantage.detach()).mean()).backward()  # backward-a
    opt_a.step()  # step-a
"""
    )
    c = "step opt_c 1: forward@act forward@judge clear@clear-c backward@backward-c step@step-c"
    a = "step opt_a 1: clear@clear-a backward@backward-a step@step-a"
    assert played.told() == [c, a] * 2
