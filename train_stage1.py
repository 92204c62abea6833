"""Training, stage 1: ReferenceNet, the spatial layers of the UNet and the mask encoder learn, on pairs of frames of one
video, to redraw the person of one picture in another pose. Not part of this version.
"""

import sys

if __name__ == "__main__":
    print("train_stage1.py: training is not part of this version of musedance", file=sys.stderr)
    sys.exit(1)
