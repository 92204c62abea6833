"""Make a dancing video with sound: the same as `musedance infer`.

python infer.py --image person.png --music song.mp3 --prompt "a person dancing on a stage"
"""

import sys

from musedance.cli import main

if __name__ == "__main__":
    sys.exit(main(["infer", *sys.argv[1:]]))
