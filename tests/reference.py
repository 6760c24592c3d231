"""The plain towers: every class in full context length, every token in every block, loops that read like the definition.

Written from the method's description (prompts spliced in behind [SOS] or around the class name, deep prompts replacing their
tokens at the entry of a block, features at [EOS] and [CLS]); only open_clip's own blocks do the computing.
"""

import torch


def entry_of(group, block, c):
    entry = group.text[block]
    return entry[c] if entry.dim() == 3 else entry


def text_features(model, tokens, groups):
    """Class features [C, E], not normalised."""
    width, length = model.positional_embedding.shape[1], model.positional_embedding.shape[0]
    sequences, places, ends = [], [], []
    for c, ids in enumerate(tokens.ids):
        words = model.token_embedding(torch.tensor(ids))
        name = tokens.name_lengths[c]
        rows, place = [*model.token_embedding(torch.tensor([tokens.start]))], {}

        def put(g, numbers, c=c, rows=rows, place=place):
            for t in numbers:
                place[g, t] = len(rows)
                rows.append(entry_of(groups[g], 0, c)[t])

        for g, group in enumerate(groups):
            put(g, range(group.text_length - group.after_name))
        rows += words[:name]
        for g, group in enumerate(groups):
            put(g, range(group.text_length - group.after_name, group.text_length))
        rows += words[name:]
        ends.append(len(rows) - 1)
        rows += [torch.zeros(width, dtype=words.dtype)] * (length - len(rows))
        sequences.append(torch.stack(rows))
        places.append(place)
    x = torch.stack(sequences) + model.positional_embedding
    for i, block in enumerate(model.transformer.resblocks):
        if i > 0:
            entered = []
            for c, place in enumerate(places):
                rows = list(x[c])
                for (g, t), at in place.items():
                    if i < len(groups[g].text) and t < groups[g].text[i].shape[-2]:
                        rows[at] = entry_of(groups[g], i, c)[t]
                entered.append(torch.stack(rows))
            x = torch.stack(entered)
        x = block(x, attn_mask=model.attn_mask)
    return model.ln_final(x)[torch.arange(len(ends)), ends] @ model.text_projection


def image_features(visual, images, groups):
    """Image features [B, E], not normalised: [CLS, patches, boosting, adapting], one image after the other."""
    groups = [group for group in reversed(groups) if group.vision]
    features = []
    for image in images:
        patches = visual.conv1(image[None])[0].flatten(1).T
        x = torch.cat([visual.class_embedding[None], patches]) + visual.positional_embedding
        x = visual.ln_pre(torch.cat([x, *(group.vision[0] for group in groups)]))
        for i, block in enumerate(visual.transformer.resblocks):
            if i > 0:
                rows, at = list(x), len(patches) + 1
                for group in groups:
                    for t in range(group.vision_length):
                        if i < len(group.vision):
                            rows[at] = group.vision[i][t]
                        at += 1
                x = torch.stack(rows)
            x = block(x[None])[0]
        features.append(visual.ln_post(x)[0] @ visual.proj)
    return torch.stack(features)


def visible(layout, step):
    """What the causal mask lets each query of a block see, from the contract of an attention: [L, M]."""
    owner = torch.tensor([-1 if slot.owner is None else slot.owner for slot in layout.slots])
    sees = (owner == -1) | (owner == owner[:, None])
    sees &= layout.positions <= layout.positions[:, None]
    return sees if step.live is None else sees[step.live]
