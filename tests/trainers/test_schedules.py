"""What hosts get wrong about schedules and CasPL mends."""

import pickle
from types import SimpleNamespace

import torch

from caspl.trainers.schedules import reconnect


def test_a_resumed_schedule_drives_the_trainers_optimizer():
    """Dassl 0.6.3 keeps the schedule behind the warm-up as a pickled object, which brings an optimizer of its own."""

    def make():
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        return optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 4)

    def rates(optimizer, schedule):
        found = []
        for _ in range(2):
            optimizer.step()
            schedule.step()
            found.append(optimizer.param_groups[0]["lr"])
        return found

    optimizer, schedule = make()
    rates(optimizer, schedule)
    resumed = pickle.loads(pickle.dumps(schedule))
    again, _ = make()
    again.load_state_dict(optimizer.state_dict())
    reconnect(
        SimpleNamespace(_scheds={"x": SimpleNamespace(successor=resumed), "y": None}, _optims={"x": again, "y": None})
    )
    assert rates(again, resumed) == rates(optimizer, schedule)
