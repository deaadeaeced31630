"""Ranks with their uncertainty: seconds and memory for 60 systems on 20,052 clips in 8 domains, 2,000 resamples, all 1,770 pairs.

    python benchmarks/ranks.py [--systems 60] [--clips 20052] [--domains 8] [--resamples 2000]

Scores are synthetic: a clip is as hard for every system, systems lie close together. The peer is what the same board takes in
plain numpy: `multinomial` counts per domain, a matrix product in blocks of 100 resamples and the same number type, all resamples
of all pairs in one array. It runs in full, after ours; the two draw different random numbers, so that standard errors agree to a
few per cent and critical values nearly. A second peer, the loop that gathers the drawn rows of the table and takes their mean, is
measured on 20 resamples and scaled. RSS is the peak of resident memory of our run, which comes first.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np


def scores(clips: int, systems: int) -> np.ndarray:
    """Returns float64[clips, systems] between 0 and 1."""
    rng = np.random.default_rng(0)
    hard = rng.beta(2, 2, size=(clips, 1))
    return np.clip(hard + rng.normal(0, 0.15, (clips, systems)) + np.linspace(-0.02, 0.02, systems), 0, 1)


def by_multinomial(values: np.ndarray, domains: np.ndarray, resamples: int, rows: int = 100) -> tuple[np.ndarray, float]:
    """Returns the resampled means and the critical value."""
    rng = np.random.default_rng(1)
    members = [np.flatnonzero(domains == domain) for domain in np.unique(domains)]
    draws = np.empty((resamples, values.shape[1]))
    for begin in range(0, resamples, rows):
        counts = np.empty((min(rows, resamples - begin), len(values)))
        for clips in members:
            counts[:, clips] = rng.multinomial(len(clips), np.full(len(clips), 1 / len(clips)), size=len(counts))
        draws[begin : begin + rows] = counts @ values / len(values)
    observed = values.mean(axis=0)
    i, j = np.triu_indices(len(observed), 1)
    gaps, resampled = observed[j] - observed[i], draws[:, j] - draws[:, i]
    return draws, float(np.quantile((np.abs(resampled - gaps) / resampled.std(axis=0)).max(axis=1), 0.95))


def by_gathering(values: np.ndarray, domains: np.ndarray, resamples: int) -> None:
    """Takes the mean of the drawn rows, one resample after the other."""
    rng = np.random.default_rng(2)
    members = [np.flatnonzero(domains == domain) for domain in np.unique(domains)]
    for _ in range(resamples):
        values[np.concatenate([rng.choice(clips, len(clips)) for clips in members])].mean(axis=0)


def peak_bytes() -> int:
    """Returns the peak of resident memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Prints a line for each side, how far they agree, and the ratios."""
    from unified_audiocaps.evaluators.bootstrap import Resampling
    from unified_audiocaps.leaderboard.boards.rank_statistics import ClipCounts, mean_draws, rank_table

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("systems", 60), ("clips", 20_052), ("domains", 8), ("resamples", 2000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    values = scores(options.clips, options.systems)
    domains = np.random.default_rng(3).integers(options.domains, size=options.clips)
    before = peak_bytes()

    started, busy = time.perf_counter(), time.process_time()
    draws = mean_draws(values, ClipCounts(options.clips, Resampling(resamples=options.resamples), domains))
    drawn = time.perf_counter() - started
    table = rank_table(values.mean(axis=0), draws)
    ours, cpu, after = time.perf_counter() - started, time.process_time() - busy, peak_bytes()
    widths = [one.high - one.low + 1 for one in table.systems if one.low is not None and one.high is not None]
    print(
        f"{options.systems} systems x {options.clips:,} clips x {options.resamples:,} resamples: {ours:.2f} s ({cpu:.2f} CPU s), "
        f"{drawn:.2f} s of it drawing; RSS {after / 1e6:.0f} MB, {(after - before) / 1e6:.0f} MB of it beyond the input"
    )
    print(
        f"critical value {table.critical:.3f}, minimal detectable difference {table.minimal_detectable_difference:.5f}, "
        f"ranges {min(widths)} to {max(widths)} ranks wide, {len({one.tie_group for one in table.systems})} tie groups"
    )

    started, busy = time.perf_counter(), time.process_time()
    plain, critical = by_multinomial(values, domains, options.resamples)
    multinomial, plain_cpu = time.perf_counter() - started, time.process_time() - busy
    errors = plain.std(axis=0) / draws.std(axis=0)
    print(
        f"multinomial counts and all pairs in one array: {multinomial:.2f} s ({plain_cpu:.2f} CPU s), "
        f"RSS {peak_bytes() / 1e6:.0f} MB; critical value {critical:.3f}, "
        f"standard errors {errors.min():.2f} to {errors.max():.2f} of ours"
    )
    started = time.perf_counter()
    by_gathering(values, domains, 20)
    gathering = (time.perf_counter() - started) * options.resamples / 20
    print(f"gathering the drawn rows: {gathering:.1f} s without ranks, scaled from 20 resamples")
    print(f"ratio {multinomial / ours:.2f}, to gathering {gathering / ours:.1f}")


if __name__ == "__main__":
    main()
