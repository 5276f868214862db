#!/usr/bin/env bash
# A Slurm array: every task takes its share of the recordings, by their names, and none waits for another.
#
#   sbatch array.sh /shared/recordings /shared/tables
#   sbatch --array=1-40 array.sh /shared/recordings /shared/tables      # other numbers of tasks
#
# A task that was ended by the time limit is started again by the same command: tables that are there stay as they are.
#SBATCH --job-name=affectkit
#SBATCH --array=1-8
#SBATCH --cpus-per-task=2
#SBATCH --mem=2G
#SBATCH --time=12:00:00
#SBATCH --output=%x-%A_%a.log
set -euo pipefail
recordings=${1:?usage: sbatch array.sh RECORDINGS TABLES}
tables=${2:?usage: sbatch array.sh RECORDINGS TABLES}

# What is done stays done: --resume continues an unfinished table where it was.
exec affectkit predict "$recordings" --recursive --output-dir "$tables" --keep-tree --resume \
    --shard auto -j "${SLURM_CPUS_PER_TASK:-1}"
