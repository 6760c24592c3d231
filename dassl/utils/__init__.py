"""Tools that the other packages share, under the names of Dassl 0.6.3."""

from caspl.ground.errors import InputError
from caspl.ground.images import read_image

from .checkpoint import load_checkpoint, load_pretrained_weights, resume_from_checkpoint, save_checkpoint
from .environment import collect_env_info, set_random_seed
from .errors import MissingFileError, RegistryError
from .files import (
    check_isfile,
    listdir_nohidden,
    mkdir_if_missing,
    read_json,
    write_json,
)
from .layers import count_num_param, open_all_layers, open_specified_layers
from .logger import reset_logger, setup_logger
from .meters import AverageMeter, MetricMeter
from .registry import Registry
from .tools import check_availability, get_most_similar_str_to_a_from_b, tolist_if_not

__all__ = [
    "AverageMeter",
    "InputError",
    "MetricMeter",
    "MissingFileError",
    "Registry",
    "RegistryError",
    "check_availability",
    "check_isfile",
    "collect_env_info",
    "count_num_param",
    "get_most_similar_str_to_a_from_b",
    "listdir_nohidden",
    "load_checkpoint",
    "load_pretrained_weights",
    "mkdir_if_missing",
    "open_all_layers",
    "open_specified_layers",
    "read_image",
    "read_json",
    "reset_logger",
    "resume_from_checkpoint",
    "save_checkpoint",
    "set_random_seed",
    "setup_logger",
    "tolist_if_not",
    "write_json",
]
