"""What a run says of itself when it has ended: `run.json` and the predictions, in the format of caspl/results/records.

`keeping` writes them, whatever way the run ends; `images` and `gathering` find out what stands in them. Trainers of a host that
run on our Dassl are recorded as well, with what can be known of them.
"""

from .keeping import Keeping

__all__ = ["Keeping"]
