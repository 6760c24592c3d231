"""Train the two tiny CLIPs that the project carries: `demo/student` and `demo/teacher`.

    python scripts/pretrain_demo_clips.py student
    python scripts/pretrain_demo_clips.py teacher

Both see nothing but glyphs rendered from the fonts that matplotlib ships, with captions that name the symbol and what
was done to its picture. No handwritten digit, labelled or not, is seen here, and no evaluation on one is made: what is
printed is the loss and the accuracy on glyphs of fonts that were held out. Teacher and student differ as ViT-L/14 and
ViT-B/16 do: in size and in training. What the runs printed is kept in docs/demo_models.md.
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path

import matplotlib
import open_clip
import torch
import torch.nn.functional as F
from open_clip.tokenizer import SimpleTokenizer
from PIL import Image, ImageDraw, ImageFont

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from caspl.clip.demo import ARCHITECTURES, CONTEXT_LENGTH, save_demo_model  # noqa: E402
from caspl.ground import door  # noqa: E402
from caspl.ground.files import check_writable  # noqa: E402

# Faces that draw Latin letters and digits; those of HELD_OUT are only ever used to print an accuracy.
FACES = [
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSans-Oblique",
    "DejaVuSans-BoldOblique",
    "DejaVuSansMono",
    "DejaVuSansMono-Bold",
    "DejaVuSansMono-Oblique",
    "DejaVuSansMono-BoldOblique",
    "DejaVuSerif",
    "DejaVuSerif-Bold",
    "DejaVuSerif-Italic",
    "DejaVuSerif-BoldItalic",
    "STIXGeneral",
    "STIXGeneralBol",
    "STIXGeneralBolIta",
    "STIXGeneralItalic",
    "cmr10",
    "cmss10",
    "cmti10",
    "cmtt10",
    "cmb10",
]
HELD_OUT = {"DejaVuSerif-Italic", "STIXGeneral", "cmss10"}

DIGITS = dict(
    zip("0123456789", ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"], strict=True)
)
MARKS = {
    "+": "plus",
    "=": "equals",
    "?": "question mark",
    "!": "exclamation mark",
    "%": "percent",
    "&": "ampersand",
    "@": "at sign",
    "#": "hash",
    "*": "asterisk",
    "/": "slash",
    "(": "parenthesis",
    "[": "bracket",
}
SYMBOLS = (
    [(c, name, ("digit", "number")) for c, name in DIGITS.items()]
    + [(c, c.lower(), ("capital letter", "uppercase letter")) for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
    + [(c, c, ("small letter", "lowercase letter")) for c in "abdefghijklmnqrtuy"]  # those unlike their capitals
    + [(c, name, ("sign", "symbol")) for c, name in MARKS.items()]
)
OPENINGS = ("", "a photo of", "a picture of", "an image of", "a drawing of", "a scan of")
# Put in front now and then, so that a name is learned at every position that prompts may push it to.
FILLERS = ("this image shows", "here you can see", "look at this", "one of many", "once more", "and again")
CANVAS = 64  # side in pixels of the rendered masters, before any augmentation


def render_masters(faces: list[str]) -> torch.Tensor:
    """Every symbol in every face, white on black, filling the canvas: [faces, symbols, CANVAS, CANVAS] in 0..1."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    masters = torch.zeros(len(faces), len(SYMBOLS), CANVAS, CANVAS)
    for f, face in enumerate(faces):
        font = ImageFont.truetype(str(folder / f"{face}.ttf"), 120)
        for s, (char, _, _) in enumerate(SYMBOLS):
            left, top, right, bottom = font.getbbox(char)
            glyph = Image.new("L", (right - left, bottom - top))
            ImageDraw.Draw(glyph).text((-left, -top), char, font=font, fill=255)
            scale = (CANVAS - 12) / max(glyph.size)
            glyph = glyph.resize([max(4, round(side * scale)) for side in glyph.size], Image.Resampling.LANCZOS)
            square = Image.new("L", (CANVAS, CANVAS))
            square.paste(glyph, ((CANVAS - glyph.width) // 2, (CANVAS - glyph.height) // 2))
            pixels = torch.frombuffer(bytearray(square.tobytes()), dtype=torch.uint8)
            masters[f, s] = pixels.view(CANVAS, CANVAS) / 255
    return masters


def uniform(n: int, low: float, high: float) -> torch.Tensor:
    return torch.empty(n).uniform_(low, high)


def deform(masters: torch.Tensor, strength: float, size: int) -> tuple[torch.Tensor, list[list[str]]]:
    """Write the glyphs anew: stroke width, slant, wobble, place, resolution, contrast, noise.

    Returns images [n, size, size] in 0..1 and, per image, the words that tell what was done to it.
    """
    n = len(masters)
    words: list[list[str]] = [[] for _ in range(n)]
    x = masters[:, None]

    # Stroke: dilate or erode by up to three pixels of the master.
    stroke = torch.randint(-1, 4, (n,)) if strength > 0.5 else torch.randint(0, 2, (n,))
    for radius in stroke.unique().tolist():
        at = stroke == radius
        if radius > 0:
            x[at] = F.max_pool2d(x[at], 2 * radius + 1, 1, radius)
        elif radius < 0:
            x[at] = -F.max_pool2d(-x[at], 1 - 2 * radius, 1, -radius)
    for i, radius in enumerate(stroke.tolist()):
        words[i] += ["thick"] if radius >= 3 else ["thin"] if radius < 0 else []

    # Slant, turn, stretch, shift; then a smooth random displacement, as an unsteady hand makes it.
    angle = uniform(n, -1, 1) * strength * 0.35
    shear = uniform(n, -1, 1) * strength * 0.45
    sx, sy = 1 + uniform(n, -0.15, 0.7) * strength, 1 + uniform(n, -0.15, 0.35) * strength
    cos, sin = angle.cos(), angle.sin()
    affine = torch.stack(
        [
            cos * sx,
            (-sin + shear * cos) * sy,
            uniform(n, -1, 1) * 0.15 * strength,
            sin * sx,
            (cos + shear * sin) * sy,
            uniform(n, -1, 1) * 0.15 * strength,
        ],
        1,
    ).view(n, 2, 3)
    grid = F.affine_grid(affine, [n, 1, CANVAS, CANVAS], align_corners=False)
    for cells, amount in ((3, 0.22), (5, 0.10)):
        wobble = torch.randn(n, 2, cells, cells) * amount * strength * uniform(n, 0, 1).view(n, 1, 1, 1)
        grid = grid + F.interpolate(wobble, CANVAS, mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
    x = F.grid_sample(x, grid, padding_mode="zeros", align_corners=False).clamp(0, 1)
    for i, turn in enumerate(angle.tolist()):
        words[i] += ["tilted"] if abs(turn) > 0.22 else []

    # Resolution: average down to a few pixels, then up again.
    small = torch.tensor([8, 10, 12, 16, 24, 32])[torch.randint(0, 6, (n,))]
    out = torch.zeros(n, 1, size, size)
    for side in small.unique().tolist():
        at = small == side
        coarse = F.interpolate(x[at], side, mode="area") if side < CANVAS else x[at]
        out[at] = F.interpolate(coarse, size, mode="bicubic", align_corners=False).clamp(0, 1)
    for i, side in enumerate(small.tolist()):
        words[i] += ["blurry"] if side <= 10 else ["sharp"] if side == 32 else []

    gamma, gain = uniform(n, 0.6, 1.5).view(n, 1, 1, 1), uniform(n, 0.7, 1.0).view(n, 1, 1, 1)
    out = out.clamp(1e-4, 1) ** gamma * gain + torch.randn_like(out) * uniform(n, 0, 0.06).view(n, 1, 1, 1)
    for i, value in enumerate(gain.flatten().tolist()):
        words[i] += ["dark"] if value < 0.75 else ["bright"] if value > 0.96 else []
    return out.clamp(0, 1)[:, 0], words


def caption(symbol: int, words: list[str]) -> str:
    """One of many ways to say it, e.g. `a photo of the thick blurry digit three.`"""
    _, name, kinds = SYMBOLS[symbol]

    def pick(options):
        return options[torch.randint(0, len(options), ()).item()]

    adjectives = " ".join(w for w in words if torch.rand(()) < 0.5)
    kind = pick(kinds) if torch.rand(()) < 0.6 else ""
    opening = pick(OPENINGS)
    article = pick(("the", "a")) if opening or adjectives or kind else ""
    fillers = [pick(FILLERS) for _ in range(torch.randint(1, 7, ()).item())] if torch.rand(()) < 0.4 else []
    return " ".join(part for part in (*fillers, opening, article, adjectives, kind, name) if part) + pick((".", ""))


class Vocabulary:
    """CLIP's tokenizer restricted to the tokens that the captions use, ids in CLIP's order ([EOS] stays the largest)."""

    def __init__(self):
        self.tokenizer = SimpleTokenizer(context_length=CONTEXT_LENGTH)
        texts = [" ".join((kind, name)) for _, name, kinds in SYMBOLS for kind in kinds]
        texts += [*OPENINGS, *FILLERS, "the a . thick thin tilted blurry sharp dark bright"]
        used = {token for text in texts for token in self.tokenizer.encode(text)}
        self.ids = torch.tensor(sorted(used | {0, self.tokenizer.sot_token_id, self.tokenizer.eot_token_id}))
        self.row = torch.full((self.tokenizer.vocab_size,), -1)
        self.row[self.ids] = torch.arange(len(self.ids))

    def __call__(self, texts: list[str]) -> torch.Tensor:
        rows = self.row[self.tokenizer(texts)]
        assert (rows >= 0).all(), "a caption uses a token outside the vocabulary"
        return rows


def to_pixels(images: torch.Tensor) -> torch.Tensor:
    """[n, H, W] in 0..1 -> normalised [n, 3, H, W] as the test transform gives them."""
    mean = torch.tensor(open_clip.OPENAI_DATASET_MEAN).view(1, 3, 1, 1)
    std = torch.tensor(open_clip.OPENAI_DATASET_STD).view(1, 3, 1, 1)
    return (images[:, None].expand(-1, 3, -1, -1) - mean) / std


@torch.no_grad()
def held_out_accuracy(model, vocabulary, masters, strength, size) -> float:
    model.eval()
    texts = F.normalize(model.encode_text(vocabulary([f"a photo of the {k[0]} {n}." for _, n, k in SYMBOLS])), dim=-1)
    hits = total = 0
    for face in masters:
        for _ in range(4):
            images, _ = deform(face.clone(), strength, size)
            scores = F.normalize(model.encode_image(to_pixels(images)), dim=-1) @ texts.T
            hits += (scores.argmax(1) == torch.arange(len(SYMBOLS))).sum().item()
            total += len(SYMBOLS)
    model.train()
    return 100 * hits / total


def main() -> None:
    parser = door.Parser(description=__doc__.split("\n")[0])
    parser.add_argument("model", choices=sorted(ARCHITECTURES))
    parser.add_argument("--steps", type=int, help="optimisation steps (default: that of the model's recipe)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, help="file to write (default: the one inside the package)")
    args = parser.parse_args()
    if args.output:
        check_writable(args.output, "--output")

    recipe = {"student": dict(steps=2400, lr=2e-3, strength=0.55), "teacher": dict(steps=6000, lr=1.5e-3, strength=1.0)}
    steps, lr, strength = (
        args.steps or recipe[args.model]["steps"],
        recipe[args.model]["lr"],
        recipe[args.model]["strength"],
    )
    torch.manual_seed(args.seed)

    vocabulary = Vocabulary()
    shape = ARCHITECTURES[args.model]
    model = open_clip.CLIP(**shape.arguments(vocab_size=len(vocabulary.ids)), quick_gelu=True).train()
    parameters = sum(p.numel() for p in model.parameters())
    masters = render_masters([f for f in FACES if f not in HELD_OUT])
    unseen = render_masters([f for f in FACES if f in HELD_OUT])
    print(
        f"{args.model}: {parameters:,} parameters, {len(vocabulary.ids)} tokens, {len(SYMBOLS)} symbols, "
        f"{len(masters)} faces, {steps} steps, lr {lr}, deformation {strength}",
        flush=True,
    )

    decay = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}], lr=lr, betas=(0.9, 0.98)
    )
    start, everyone = time.time(), torch.arange(len(SYMBOLS))
    for step in range(1, steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = lr * min(step / 100, 0.5 * (1 + math.cos(math.pi * step / steps)))
        # Each symbol once per batch: CLIP's loss then meets no caption that is also true of another picture.
        faces = torch.randint(0, len(masters), (len(SYMBOLS),))
        images, words = deform(masters[faces, everyone].clone(), strength, shape.image_size)
        texts = vocabulary([caption(s, w) for s, w in enumerate(words)])
        image_features, text_features, scale = model(to_pixels(images), texts)
        logits = scale * image_features @ text_features.T
        loss = (F.cross_entropy(logits, everyone) + F.cross_entropy(logits.T, everyone)) / 2
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(100))
        if step % max(1, steps // 12) == 0 or step == steps:
            accuracy = held_out_accuracy(model, vocabulary, unseen, strength, shape.image_size)
            print(
                f"step {step:5d}  loss {loss.item():.3f}  held-out faces {accuracy:.1f}%  "
                f"scale {model.logit_scale.exp().item():.1f}  {time.time() - start:.0f} s",
                flush=True,
            )

    path = save_demo_model(args.model, model.eval(), vocabulary.ids, args.output)
    print(f"wrote {path.name} ({path.stat().st_size / 1e6:.2f} MB)")


if __name__ == "__main__":
    sys.exit(door.run(main))
