"""Evolution strategies: no backward at all; the gradient is estimated from mirrored perturbations and put into p.grad."""
import torch
import torch.nn as nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters


def fitness(net, x, y):
    return -nn.functional.mse_loss(net(x), y).item()


def main():
    torch.manual_seed(173)
    net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1))
    net.requires_grad_(False)
    theta = nn.Parameter(parameters_to_vector(net.parameters()).clone())
    opt = torch.optim.Adam([theta], lr=0.05)
    sigma, pairs, trace = 0.1, 16, []
    for generation in range(80):
        x = torch.rand(64, 2) * 2 - 1
        y = x[:, :1] * x[:, 1:] * 2
        estimate = torch.zeros_like(theta)
        for _ in range(pairs):
            eps = torch.randn_like(theta)
            vector_to_parameters(theta.data + sigma * eps, net.parameters())
            up = fitness(net, x, y)
            vector_to_parameters(theta.data - sigma * eps, net.parameters())
            down = fitness(net, x, y)
            estimate += (up - down) * eps
        theta.grad = -estimate / (2 * sigma * pairs)
        opt.step()
        vector_to_parameters(theta.data.clone(), net.parameters())
        trace.append(-fitness(net, x, y))
    print("mse", [round(sum(trace[k:k + 5]) / 5, 4) for k in (0, 25, 50, 75)])


main()
