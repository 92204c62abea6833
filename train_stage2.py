"""Training, stage 2: with the spatial layers frozen, the music, beat and motion modules learn, on short clips, to move
the person with the music. Not part of this version.
"""

import sys

if __name__ == "__main__":
    print("train_stage2.py: training is not part of this version of musedance", file=sys.stderr)
    sys.exit(1)
