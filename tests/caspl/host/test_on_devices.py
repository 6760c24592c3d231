"""A host's trainers behind boosting prompts, on GPUs that are not there: the boosting tokens follow the host's CLIP."""

import pytest
import torch

import host_clip
from boosting_files import make_boosting
from caspl.host.graft import graft
from fake_devices import on_fake

NAMES = ["zero", "one", "a rather long name of two", "three (3)"]


def answers(clip, device, dtype):
    images = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1)).to(device, dtype)
    ids = host_clip.tokenize([f"a photo of a {name}." for name in NAMES]).to(device)
    return clip.encode_image(images).float().cpu(), clip.encode_text(ids).float().cpu()


@pytest.mark.parametrize("device", ["cuda", "mps"])
@pytest.mark.parametrize("first", ["graft", "move"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_boosted_clip_answers_there_as_on_the_cpu(dtype, first, device):
    """Whether it is boosted before it goes there, as where a host loads it on the CPU, or behind."""
    expected = answers(graft(host_clip.make_clip(), make_boosting()), "cpu", torch.float32)
    with on_fake(device) as there:
        clip = host_clip.make_clip()
        if first == "graft":
            clip = graft(clip, make_boosting()).to(there.at, dtype)
        else:
            clip = graft(clip.to(there.at, dtype), make_boosting())
        found = answers(clip, there.at, dtype)
    for own, other in zip(found, expected, strict=True):
        assert (own - other).norm() / other.norm() < (1e-5 if dtype == torch.float32 else 5e-3)


@pytest.mark.parametrize("host", [host_clip.CustomCLIP, host_clip.ConditionalCLIP], ids=lambda host: host.__name__)
def test_a_host_trains_there(host):
    with on_fake("cuda") as there:
        model = host(NAMES, graft(host_clip.make_clip(), make_boosting())).to(there.at)
        trained = [p for name, p in model.named_parameters() if name.startswith("prompt_learner")]
        optimizer = torch.optim.SGD(trained, lr=0.05)
        images, labels = torch.randn(4, 3, 32, 32).to(there.at), torch.arange(4).to(there.at)
        losses = []
        for _ in range(6):
            loss = torch.nn.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert min(losses[1:]) < losses[0] and all(p.grad.device == there.at for p in trained)
