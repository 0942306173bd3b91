"""The leaderboard's data: bundles and entries of runs, and what verifies them."""
