#!/usr/bin/env python3
"""Damages copies of model files and sees what mbrun makes of them.

    damaged.py MBRUN FLIPS CUTS [--first N] [--command inspect|eval] [--model MODEL.h5] FILE.h5...

Case N of a file depends on N and the file's name alone, so that a campaign may stop and go on with
--first, and any case may be looked at again: a flip changes one bit of the first 256 KiB or anywhere,
in turn; a cut ends the file somewhere. --command eval takes a file as model and data, with --model as the
data of that (whole) model. Every case is to end with 0 or 1 within the limit. Prints one
line for each case that does not, and a line of totals; ends with 1 when there were such cases.
"""
import argparse
import collections
import os
import random
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

LIMIT = 20  # seconds


def damage(kind, case, name, original):
    choose = random.Random(f"{kind} {case} {os.path.basename(name)}")
    if kind == "cut":
        return original[: choose.randrange(len(original))]
    data = bytearray(original)
    end = len(data) if case % 2 else min(len(data), 1 << 18)
    data[choose.randrange(end)] ^= 1 << choose.randrange(8)
    return bytes(data)


def run(mbrun, command, model, path, folder):
    arguments = [mbrun, command, model or path]
    if command == "eval":
        arguments += ["--data", path]
    try:
        done = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, timeout=LIMIT, cwd=folder)
    except subprocess.TimeoutExpired:
        return "no end"
    return done.returncode


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("mbrun")
    parser.add_argument("flips", type=int)
    parser.add_argument("cuts", type=int)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--command", default="inspect", choices=["inspect", "eval"])
    parser.add_argument("--model", type=os.path.abspath)
    options = parser.parse_args()
    options.command = "eval" if options.model else options.command
    mbrun = os.path.abspath(options.mbrun)
    ends = collections.Counter()

    def one(job):
        kind, case, name = job
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, os.path.basename(name))
            with open(name, "rb") as source, open(path, "wb") as copy:
                copy.write(damage(kind, case, name, source.read()))
            return job, run(mbrun, options.command, options.model, path, folder)

    jobs = [(kind, case, options.files[case % len(options.files)])
            for kind, count in (("flip", options.flips), ("cut", options.cuts))
            for case in range(options.first, options.first + count)]
    bad = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for (kind, case, name), end in pool.map(one, jobs):
            ends[end] += 1
            if end not in (0, 1):
                bad += 1
                print(f"{kind} {case} of {os.path.basename(name)} ends with {end}", flush=True)
    print(f"{len(jobs)} cases: " + ", ".join(f"{n} end with {e}" for e, n in sorted(ends.items(), key=str)))
    return 1 if bad else 0


sys.exit(main())
