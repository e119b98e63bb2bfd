"""Where a detector's mask says that something is."""
import numpy as np


def components(mask):
    """Boxes of the 4-connected regions of a mask."""
    seen, out = np.zeros_like(mask), []
    for y, x in zip(*np.nonzero(mask)):
        if seen[y, x]:
            continue
        stack, box = [(y, x)], [x, y, x, y]
        seen[y, x] = True
        while stack:
            a, b = stack.pop()
            box = [min(box[0], b), min(box[1], a), max(box[2], b), max(box[3], a)]
            for c, d in ((a + 1, b), (a - 1, b), (a, b + 1), (a, b - 1)):
                if 0 <= c < mask.shape[0] and 0 <= d < mask.shape[1] and mask[c, d] and not seen[c, d]:
                    seen[c, d] = True
                    stack.append((c, d))
        out.append(box)
    return out
