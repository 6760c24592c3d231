"""How images are shared out."""


def share_of(images: int, count: int, number: int) -> tuple[int, int]:
    """Where share `number`, from 0, of `count` begins and ends among so many images: shares are as even as can be."""
    return images * number // count, images * (number + 1) // count
