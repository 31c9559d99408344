"""Which operation ran on which line of the user's code, with the shapes that went by."""

from __future__ import annotations

import json


def traced(script, stepscope_cli, tmp_path, body):
    """Trace a model whose ``forward`` has ``body``; return its lines as ``{(text, operation): (in, out, count)}``."""
    text = (
        "import torch\n"
        "import torch.nn.functional as F\n"
        "class Net(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.fc = torch.nn.Linear(12, 4)\n"
        "    def forward(self, x):\n" + "".join(f"        {line}\n" for line in body) + "net = Net()\n"
        "optimizer = torch.optim.SGD(net.parameters(), lr=0.1)\n"
        "net(torch.randn(5, 3, 4)).sum().backward()\n"
        "optimizer.step()\n"
    )
    path = script(text)
    done = stepscope_cli("trace", "--record", tmp_path / "rec", "--format", "json", path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["updates"] == 1
    import stepscope

    source = path.read_text().splitlines()
    lines = stepscope.load(tmp_path / "rec").updates[0].look.lines
    assert {line.file for line in lines} == {str(path)}
    return {(source[line.line - 1].strip(), line.operation): (line.inputs, line.outputs, line.count) for line in lines}


def test_shapes_are_on_their_lines(script, stepscope_cli, tmp_path):
    body = [
        "h = x.view(5, -1)",
        "h = self.fc(h)",
        "h = F.relu(h)",
        "s = h @ h.t()",
        "s = torch.cat([s, s], dim=1)",
        "a, b = s.chunk(2, 1)",
        "c = torch.add(input=a, other=b)",
        "for _ in range(3): c = c * 2",
        "return c[0]",
    ]
    lines = traced(script, stepscope_cli, tmp_path, body)
    assert lines[body[0], "view"] == ([[5, 3, 4]], [[5, 12]], 1)
    assert lines[body[1], "linear"] == ([[5, 12], [4, 12], [4]], [[5, 4]], 1)
    assert lines[body[2], "relu"] == ([[5, 4]], [[5, 4]], 1)
    assert lines[body[3], "matmul"] == ([[5, 4], [4, 5]], [[5, 5]], 1)
    assert lines[body[3], "t"] == ([[5, 4]], [[4, 5]], 1)
    assert lines[body[4], "cat"] == ([[5, 5], [5, 5]], [[5, 10]], 1)
    assert lines[body[5], "chunk"] == ([[5, 10]], [[5, 5], [5, 5]], 1)
    assert lines[body[6], "add"] == ([[5, 5], [5, 5]], [[5, 5]], 1)
    assert lines[body[7], "mul"] == ([[5, 5]], [[5, 5]], 3)
    assert lines[body[8], "getitem"] == ([[5, 5]], [[5]], 1)
    assert len(lines) == 10
